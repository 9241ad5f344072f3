package essaim_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/essaim/essaim"

// floors is the map of the house: which floor a folder stands on. A package may
// import lower floors only. The most specific entry counts. A folder that is not
// here fails the test: draw it into this map and into docs/architecture.md first.
var floors = map[string]int{
	".":        1, // the words
	"gen":      1,
	"internal": 1,

	"internal/tracing":      2, // of tasks, through all roles
	"internal/tracing/otlp": 3, // to whom it is told

	"engine":    2, // contracts, and mechanisms that know no role
	"blob":      2,
	"seal":      2,
	"transport": 2,
	"quant":     2,
	"verify":    2,
	"standing":  2,
	"censor":    2,

	"receipts/sumtree": 2, // the tree, which knows no receipt

	"proof":            4, // of whole runs; its parts:
	"proof/succinct":   5, // another mode of them
	"proof/builtin":    6, // the binary's models
	"proof/field":      1,
	"proof/transcript": 3,
	"proof/sumcheck":   2,
	"proof/commit":     3,
	"proof/lookup":     4,
	"proof/prooftest":  3,

	"quant/dispute": 3, // the game about a trace
	"quant/program": 3, // what is known of a run without its model

	"receipts":          3, // uses the limits of blobs
	"engine/pixel":      4, // drivers
	"engine/text":       3,
	"engine/adapter":    3, // what the drivers of other people's engines share
	"engine/openai":     4,
	"engine/ollama":     4,
	"engine/a1111":      4,
	"engine/comfyui":    4,
	"engine/exec":       4,
	"engine/enginetest": 3,
	"engine/shelf":      3, // where models' files are kept
	"blob/dir":          3,
	"blob/mem":          3,
	"blob/pack":         3,
	"blob/blobtest":     3,
	"chain/ethkey":      3,
	"client":            3,
	"wallet":            3,
	"verify/receipt":    3, // ways of checking
	"verify/phash":      3,
	"verify/replica":    3,
	"verify/rerun":      3,
	"verify/freivalds":  3,
	"verify/logprob":    3,
	"verify/trust":      3, // what follows from findings
	"verify/duty":       3,

	"coordinator/receiptlog": 3, // a role's memory
	"coordinator/draws":      4, // how it answers the beacon
	"coordinator/share":      4, // what it knows of other instances
	"coordinator/cluster":    4, // and shares it with others of its name
	"coordinator/known":      4,
	"coordinator/round":      4, // its rounds of replicas
	"coordinator/feed":       4, // who is told how far a task is
	"coordinator/cover":      4, // what stake answers for
	"coordinator/vet":        4, // what it looks at in receipts
	"coordinator/chance":     4, // how it draws
	"coordinator/line":       4, // and in which order it serves
	"coordinator/outcome":    4, // what an attempt's end means
	"coordinator/quality":    2, // how well miners do
	"coordinator/affinity":   4, // who had a conversation last

	"gateway":        7, // a role, and its parts
	"gateway/once":   2, // which requests were done
	"gateway/apikey": 3,
	"gateway/purse":  4,
	"gateway/desk":   5,
	"gateway/jobs":   6,
	"gateway/openai": 6,
	"gateway/ollama": 6,
	"gateway/a1111":  6,
	"gateway/horde":  6,
	"gateway/batch":  6,
	"gateway/relay":  6,
	"coordinator":    5, // roles
	"web":            5,
	"miner":          5,
	"miner/income":   6, // what its receipts came to
	"cuckoo":         6, // another network's machines, as an engine

	"bot/book":                  4, // what a bot remembers
	"bot":                       5,
	"bot/telegram":              6,
	"bot/telegram/telegramtest": 6,
	"bot/discord":               6,
	"bot/discord/discordtest":   6,
	"bot/bottest":               6, // what every platform must do
	"verifier":                  5,

	"engine/all":        5, // lists of the drivers in the binary, and fakes for tests
	"blob/all":          4,
	"client/clienttest": 4,
	"verify/all":        4,
	"verify/verifytest": 5,
	"verify/trial":      4, // both sides of a dispute

	"node":                8, // composition
	"devnet":              9,
	"bench":               10,
	"cmd/essaim/settings": 10,
	"cmd/essaim/keys":     10,
	"cmd/essaim/begin":    11,
	"cmd/essaim/backup":   10,
	"cmd/essaim/doctor":   11,
	"cmd/essaim/manual":   10,
	"cmd/essaim/term":     9,
	"cmd/essaim/traced":   9,
	"cmd/essaim/picture":  9,
	"cmd/essaim/signing":  9,
	"cmd/essaim/session":  10,
	"cmd/essaim/operator": 10,
	"cmd/essaim/mining":   10,
	"cmd/essaim/stake":    10,
	"cmd/essaim/dispute":  10,
	"cmd/essaim/checked":  10,
	"cmd/essaim/proving":  10,
	"cmd/essaim/bots":     10,
	"cmd/essaim/names":    10,
	"cmd/essaim":          12,
	"e2e":                 10,
	"docs":                12, // tries out what the documents say

	"web/certificate":      6, // what a browser checks
	"web/certificate/wasm": 7,
}

// The ledger is a house of its own on the same floors.
var chainFloors = map[string]int{
	"chain/encoding":        4, // prefixes and codecs
	"chain/eip191":          4,
	"chain/x/model":         4,
	"chain/x/registry":      4,
	"chain/x/registry/pool": 3, // the arithmetic of stake, without the SDK
	"chain/x/market":        4,
	"chain/x/tally":         4,
	"chain/x/trail":         4,
	"chain/x/beacon":        4,
	"chain/x/dispute":       4,
	"chain/x/names":         4,
	"chain":                 5, // the application
	"chain/audit":           5, // checks what the application left to be proven
	"chain/node":            6, // consensus around it
	"chain/client":          7, // how roles reach it
}

// bans are imports that a part of the tree must not have, each with its reason.
var bans = []struct {
	path   string   // what must not be imported; with /... everything below it, too
	except []string // folders that may
	only   []string // folders that are meant; nil: all
	tests  bool     // whether tests are meant, too
	reason string
}{
	{"github.com/cosmos/cosmos-sdk/...", []string{"chain", "gen/chain", "node", "devnet"}, nil, true, "miner and coordinator build and test without the ledger's software"},
	{"github.com/cometbft/cometbft/...", []string{"chain", "gen/chain", "node", "devnet"}, nil, true, "miner and coordinator build and test without the ledger's software"},
	{"github.com/libp2p/...", []string{"transport"}, nil, false, "one package knows the peer network's library"},
	{"modernc.org/sqlite/...", []string{"internal/durable"}, nil, true, "one package knows how the database is opened"},
	{"github.com/jackc/...", []string{"internal/durable"}, nil, true, "one package knows how the database is opened"},
	{"net/http/...", nil, []string{".", "chain/x", "chain/ethkey", "chain/eip191", "chain/encoding", "quant", "engine/pixel", "engine/text", "coordinator", "miner", "verifier", "wallet", "seal"}, false, "none of these has business with HTTP"},
	{"net", nil, []string{".", "chain/x", "chain/ethkey", "chain/eip191", "quant", "engine/pixel", "engine/text"}, false, "no network"},
	{"math/rand/...", nil, []string{".", "chain", "quant", "proof", "engine/pixel", "engine/text", "seal", "wallet"}, false, "consensus, models and keys use no process-wide randomness"},
	{"github.com/consensys/...", []string{"proof/field"}, nil, true, "one package knows the field's library, whose vector code needs care"},
	{"os/exec", []string{"cmd", "e2e", "devnet", "internal/portabletest", "internal/durable/durabletest", "internal/browser", "engine/exec"}, nil, false, "only composition starts processes, tests, and the driver of engines that are programs"},
	{"log", nil, nil, false, "log/slog, passed in"},
	{"github.com/cosmos/cosmos-sdk/enterprise/...", nil, nil, true, "another licence"},
	{"github.com/ipfs/boxo/...", nil, nil, true, "its upkeep ended in 2026"},
	{"github.com/ethereum/go-ethereum/...", nil, nil, true, "LGPL and cgo; our own 250 lines do"},
	{"github.com/stretchr/testify/...", nil, nil, true, "the standard library's testing says it as well"},
}

type pkg struct {
	dir     string
	imports map[string]bool
	tests   map[string]bool
	doc     string
	name    string
}

func packages(t *testing.T) []*pkg {
	t.Helper()
	byDir := map[string]*pkg{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"testdata", "node_modules", "bin", "third_party", "tools"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(p, ".go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(p))
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir, imports: map[string]bool{}, tests: map[string]bool{}}
		}
		byDir[dir].add(f, strings.HasSuffix(p, "_test.go"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.SortedFunc(maps.Values(byDir), func(a, b *pkg) int { return strings.Compare(a.dir, b.dir) })
}

func (p *pkg) add(f *ast.File, test bool) {
	into := p.imports
	if test {
		into = p.tests
	} else {
		p.name = f.Name.Name
		if f.Doc != nil {
			p.doc += f.Doc.Text()
		}
	}
	for _, i := range f.Imports {
		if s, err := strconv.Unquote(i.Path.Value); err == nil {
			into[s] = true
		}
	}
}

// under reports whether dir is folder or lies in it.
func under(dir, folder string) bool {
	return dir == folder || folder != "." && strings.HasPrefix(dir, folder+"/")
}

func floor(dir string) (int, bool) {
	for d := dir; ; d = path.Dir(d) {
		if n, ok := floors[d]; ok && (d != "." || dir == ".") {
			return n, true
		}
		if n, ok := chainFloors[d]; ok && d == dir {
			return n, true
		}
		if d == "." {
			return 0, false
		}
	}
}

// TestMap: every folder of ours has its place in the document that people read.
func TestMap(t *testing.T) {
	house, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages(t) {
		if p.dir == "." || under(p.dir, "gen") {
			continue
		}
		if !strings.Contains(string(house), "`"+p.dir+"`") {
			t.Errorf("docs/architecture.md has no line of `%s`", p.dir)
		}
	}
}

// TestFloors: imports go down only, never sideways.
func TestFloors(t *testing.T) {
	for _, p := range packages(t) {
		from, ok := floor(p.dir)
		if !ok {
			t.Errorf("folder %s is not on the map: add it to floors in layers_test.go and to docs/architecture.md", p.dir)
			continue
		}
		for i := range p.imports {
			dir, ours := strings.CutPrefix(i, module)
			if !ours {
				continue
			}
			dir = strings.TrimPrefix(dir, "/")
			if dir == "" {
				dir = "."
			}
			to, ok := floor(dir)
			sameGenerated := under(p.dir, "gen") && under(dir, "gen")
			if ok && to >= from && !sameGenerated && from != 1 {
				t.Errorf("%s (floor %d) imports %s (floor %d): imports go down only", p.dir, from, dir, to)
			}
			if from == 1 && to > 1 {
				t.Errorf("%s is on the lowest floor and imports %s", p.dir, dir)
			}
		}
	}
}

func TestBannedImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, b := range bans {
			if slices.ContainsFunc(b.except, func(f string) bool { return under(p.dir, f) }) ||
				b.only != nil && !slices.ContainsFunc(b.only, func(f string) bool { return under(p.dir, f) }) {
				continue
			}
			found := maps.Clone(p.imports)
			if b.tests {
				maps.Copy(found, p.tests)
			}
			for i := range found {
				tree, isTree := strings.CutSuffix(b.path, "/...")
				if i == tree || isTree && strings.HasPrefix(i, tree+"/") {
					t.Errorf("%s imports %s: %s", p.dir, i, b.reason)
				}
			}
		}
	}
}

// TestPackageComments: every package says what it is.
func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		if p.name == "" || under(p.dir, "gen") {
			continue
		}
		want := "Package " + p.name + " "
		if p.name == "main" {
			want = "Command "
		}
		if !strings.HasPrefix(p.doc, want) || len(p.doc) < 120 {
			t.Errorf("%s: its package comment must begin with %q and say what the package is, why, and what it must not do", p.dir, want)
		}
	}
}

// TestBudgets: a file of more than 600 lines holds two things, and a package of more
// than 3,000 is two packages.
func TestBudgets(t *testing.T) {
	const fileLines, functionLines, packageLines = 600, 80, 3000
	for _, p := range packages(t) {
		if under(p.dir, "gen") {
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, f := range files {
			if strings.HasSuffix(f, ".pb.go") {
				continue
			}
			n := checkFile(t, f, fileLines, functionLines)
			if !strings.HasSuffix(f, "_test.go") {
				total += n
			}
		}
		if total > packageLines {
			t.Errorf("%s has %d lines, the budget of a package is %d", p.dir, total, packageLines)
		}
		if depth := strings.Count(p.dir, "/") + 1; depth > 4 {
			t.Errorf("%s lies %d folders deep, the budget is 4", p.dir, depth)
		}
	}
}

func checkFile(t *testing.T, name string, fileLines, functionLines int) int {
	t.Helper()
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	n := strings.Count(string(src), "\n")
	if n > fileLines {
		t.Errorf("%s has %d lines, the budget is %d: does it hold two things?", name, n, fileLines)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			if lines := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line + 1; lines > functionLines {
				t.Errorf("%s: %s has %d lines, the budget of a function is %d", name, fn.Name.Name, lines, functionLines)
			}
		}
	}
	return n
}

// TestConsensusIsDeterministic: code that every validator must agree on has no
// floating point, no clock and no goroutine.
func TestConsensusIsDeterministic(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.ContainsFunc([]string{"chain/x", "chain/ethkey", "chain/eip191"}, func(f string) bool { return under(p.dir, f) }) && p.dir != "." {
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".pb.go") {
				continue
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if what := nondeterministic(n); what != "" {
					t.Errorf("%s: %s in code that every validator must agree on", set.Position(n.Pos()), what)
				}
				return true
			})
		}
	}
}

func nondeterministic(n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "a goroutine"
	case *ast.Ident:
		if n.Name == "float64" || n.Name == "float32" {
			return n.Name
		}
	case *ast.BasicLit:
		if n.Kind == token.FLOAT {
			return "floating point literal " + n.Value
		}
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "After", "Sleep", "NewTimer", "NewTicker"}, n.Sel.Name) {
			return "time." + n.Sel.Name
		}
	}
	return ""
}
