package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/essaim/essaim"
)

// Config is a node's node.toml. A node has one role and one folder, which holds its
// configuration, its keys and its state; everything else is relative to it.
type Config struct {
	Role    string `toml:"role" comment:"validator, coordinator or miner"`
	ChainID string `toml:"chain_id"`
	Ledger  string `toml:"ledger,omitempty" comment:"URL of a ledger node's RPC"`
	Dir     string `toml:"-"` // where node.toml is

	Telemetry *Telemetry `toml:"telemetry,omitempty" comment:"what is told to a collector of OpenTelemetry; without this section nothing is"`

	Validator   *Validator   `toml:"validator,omitempty"`
	Coordinator *Coordinator `toml:"coordinator,omitempty"`
	Miner       *Miner       `toml:"miner,omitempty"`
}

// The values of Config.Role.
const (
	RoleValidator   = "validator"
	RoleCoordinator = string(essaim.RoleCoordinator)
	RoleMiner       = string(essaim.RoleMiner)
)

// Telemetry configures where traces go: of tasks, with neither prompts nor results.
type Telemetry struct {
	OTLP   string  `toml:"otlp" comment:"URL of a collector that speaks OTLP over HTTP, such as http://127.0.0.1:4318"`
	Sample float64 `toml:"sample,omitempty" comment:"share of the traces that begin here, from 0 to 1; default 1"`
}

// Validator configures a ledger node. Its genesis.json and validator key are in its
// folder, as CometBFT has them.
type Validator struct {
	RPC           string   `toml:"rpc" comment:"host:port of the ledger's RPC; empty: none"`
	P2P           string   `toml:"p2p" comment:"host:port for other ledger nodes"`
	Peers         []string `toml:"peers" comment:"ID@host:port of other ledger nodes that this one dials"`
	TimeoutCommit Duration `toml:"timeout_commit" comment:"pause between blocks"`
}

// Coordinator configures a coordinator and its gateway.
type Coordinator struct {
	HTTP   string   `toml:"http" comment:"host:port of the gateway"`
	Listen []string `toml:"listen" comment:"multiaddresses that miners dial"`
	Payer  string   `toml:"payer" comment:"account key that submits settlements and pays for API keys' sessions"`
	Keys   string   `toml:"keys" comment:"folder of account keys"`
	Faucet uint64   `toml:"faucet,omitempty" comment:"uaim that the page gives an account once a day, out of the payer's; 0: nothing"`
	Audit  *Audit   `toml:"audit,omitempty" comment:"has receipts checked by miners that a beacon draws; without this section nothing is"`
	Filter string   `toml:"filter,omitempty" comment:"refuses prompts of API keys' users that have a phrase of this file, a phrase a line, or of the built-in list: default; empty: none"`
	Guests *Guests  `toml:"guests,omitempty" comment:"serves requests without an API key; without this section they are refused"`
	DB     string   `toml:"db,omitempty" comment:"postgres://… that several instances of this coordinator share, each a process with its node.key; empty: there is one, and its log is a file"`
	URL    string   `toml:"url,omitempty" comment:"with db: URL by which the other instances reach this one's gateway; empty: http:// and what http says"`
	Pprof  string   `toml:"pprof,omitempty" comment:"address of this machine, such as 127.0.0.1:6060, where Go's profiles are served; empty: nowhere"`

	Connections int `toml:"connections,omitempty" comment:"of the gateway that are open at most; who comes above that is told to come again; default 1024"`
}

// Guests configures who is served without an API key, after everybody else.
type Guests struct {
	Key     string `toml:"key" comment:"ID of the API key that pays; its deposit and limits are all that guests can spend"`
	PerHour int    `toml:"per_hour" comment:"requests of an address in an hour"`
}

// Audit configures what a coordinator has checked, and who pays for it: the account that
// pays for API keys' sessions, too.
type Audit struct {
	Budget   uint64   `toml:"budget" comment:"uaim to put into escrow for reruns at a time"`
	Canaries uint32   `toml:"canaries,omitempty" comment:"basis points of audits that are followed by a task with a known answer; default 200"`
	Patience Duration `toml:"patience,omitempty" comment:"how long a client may take to seal its input to the verifier; default 20s"`
	Poll     Duration `toml:"poll,omitempty" comment:"between looks at the ledger; default 1s"`
	Propose  bool     `toml:"propose,omitempty" comment:"lay down deposits for proposals to slash miners that miss their duties or fail statistically; otherwise they are only logged"`
}

// Miner configures a miner.
type Miner struct {
	Coordinators []string `toml:"coordinators" comment:"multiaddresses to dial, each with its /p2p/ peer ID"`
	Price        uint64   `toml:"price" comment:"uaim per unit, as registered on the ledger"`
	Capacity     int      `toml:"capacity" comment:"attempts at a time"`

	Engines []string          `toml:"engines,omitempty" comment:"engines besides those that are built in: DRIVER=ADDRESS, such as ollama=http://127.0.0.1:11434; see essaim miner engines"`
	Prices  map[string]uint64 `toml:"prices,omitempty" comment:"uaim per unit of single models, by digest, as registered on the ledger"`

	Offer  []string `toml:"offer,omitempty" comment:"digests of the models on offer; empty: all that the engines have"`
	Censor string   `toml:"censor,omitempty" comment:"leaves prompts to others that have a phrase of this file, a phrase a line, or of the built-in list: default; empty: none"`
	Grace  Duration `toml:"grace,omitempty" comment:"for attempts under way when the miner is stopped; default 1s"`

	Pace Duration `toml:"pace,omitempty" comment:"waits before each step, for people who want to watch"`

	Poll Duration `toml:"poll,omitempty" comment:"between looks at what became of coordinators' promises; default 10s"`

	Page string `toml:"page,omitempty" comment:"address of this machine, such as 127.0.0.1:8430, of a page that shows earnings and work; empty: none"`

	MaxUnacknowledged int      `toml:"max_unacknowledged,omitempty" comment:"receipts that a coordinator may leave unacknowledged; default 4"`
	Blocked           []string `toml:"blocked,omitempty" comment:"node keys of coordinators that are not served"`
	Trusted           []string `toml:"trusted,omitempty" comment:"node keys of coordinators that are served though they left work unpaid"`
	Submitter         string   `toml:"submitter,omitempty" comment:"account key that submits claims against coordinators that do not pay; empty: none are made by itself"`
	Keys              string   `toml:"keys,omitempty" comment:"folder of account keys"`
}

// Duration is a time.Duration that is written like "200ms".
type Duration time.Duration

// MarshalText writes Go's notation.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads Go's notation.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

const configName = "node.toml"

// Load reads a node's configuration from its folder.
//
// Errors: CodeNotFound if there is none, CodeBadInput if it cannot be read.
func Load(dir string) (Config, error) {
	var c Config
	name := filepath.Join(dir, configName)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, essaim.Errorf(essaim.CodeNotFound, "`essaim up` makes a network's folders", "no node in %s: %s is missing", dir, configName)
	}
	if err != nil {
		return c, err
	}
	if err := toml.Unmarshal(b, &c); err != nil {
		return c, essaim.Errorf(essaim.CodeBadInput, "mend the file", "read %s: %w", name, err)
	}
	c.Dir = dir
	return c, c.check()
}

// Save writes the configuration into its folder.
func (c Config) Save() error {
	if err := c.check(); err != nil {
		return err
	}
	b, err := toml.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, configName), b, 0o600)
}

func (c Config) check() error {
	have := map[string]bool{RoleValidator: c.Validator != nil, RoleCoordinator: c.Coordinator != nil, RoleMiner: c.Miner != nil}
	known, ok := have[c.Role]
	switch {
	case !ok:
		return essaim.Errorf(essaim.CodeBadInput, "use validator, coordinator or miner", "%s: role %q is not known", configName, c.Role)
	case !known:
		return essaim.Errorf(essaim.CodeBadInput, "", "%s: the section [%s] is missing", configName, c.Role)
	case c.ChainID == "":
		return essaim.Errorf(essaim.CodeBadInput, "", "%s: chain_id is missing", configName)
	case c.Coordinator != nil && c.Coordinator.Connections < 0:
		return essaim.Errorf(essaim.CodeBadInput, "leave it out for 1024", "%s: %d connections", configName, c.Coordinator.Connections)
	}
	return nil
}
