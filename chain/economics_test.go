package chain_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/registry"
	stakepool "github.com/essaim/essaim/chain/x/registry/pool"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/verify/trust"
)

var update = flag.Bool("update-docs", false, "rewrite the worked examples in docs/")

const economics = "../docs/economics.md"

var exampleBlock = regexp.MustCompile("(?s)```example ([a-z]+)\n(.*?)```")

// TestEconomics recomputes every worked example of docs/economics.md with the ledger's
// own code.
func TestEconomics(t *testing.T) {
	doc, err := os.ReadFile(economics)
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string]func(*testing.T) string{
		"split": splitExample, "pool": poolExample, "income": incomeExample, "ring": ringExample,
		"slashes": slashExample, "deterrence": deterrenceExample, "cover": coverExample,
	}
	now := exampleBlock.ReplaceAllStringFunc(string(doc), func(block string) string {
		name := exampleBlock.FindStringSubmatch(block)[1]
		example, ok := examples[name]
		if !ok {
			t.Fatalf("nothing computes the example %q, or it stands there twice", name)
		}
		delete(examples, name)
		return "```example " + name + "\n" + example(t) + "```"
	})
	for name := range examples {
		t.Errorf("the document lacks the example %q", name)
	}
	switch {
	case now == string(doc):
	case *update:
		if err := os.WriteFile(economics, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("docs/economics.md is not what the code computes; go test ./chain -run TestEconomics -update-docs, and read it again. Computed:\n%s", now)
	}
}

// table writes rows in columns, the first to the left, the others to the right.
func table(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		line := fmt.Sprintf("%-*s", width[0], r[0])
		for i, cell := range r[1:] {
			line += fmt.Sprintf("  %*s", width[i+1], cell)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// splitExample settles a real session and reads the payouts from its event.
func splitExample(t *testing.T) string {
	w := newMarket(t)
	w.must(t, openSession(100_000, 100))
	r := w.must(t, settle(1, "c", line("m1", firstModel, 12_345, 3)))
	rows := [][]string{{"a session of 100,000 uaim in which 3 tasks cost 12,345", "uaim"}}
	sum := uint64(0)
	for _, e := range r.Events {
		if !strings.HasSuffix(e.Type, "EventSettled") {
			continue
		}
		for _, a := range e.Attributes {
			if a.Key != "payouts" {
				continue
			}
			payouts, err := decodePayouts(w, a.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range payouts {
				rows, sum = append(rows, []string{p.Reason, comma(p.Amount)}), sum+p.Amount
			}
		}
	}
	return table(append(rows, []string{"sum", comma(sum)}))
}

func decodePayouts(w *world, list string) ([]marketv1.Payout, error) {
	var e marketv1.EventSettled
	err := w.app.Codec.UnmarshalJSON([]byte(`{"session":"0","payouts":`+list+`}`), &e)
	return e.Payouts, err
}

func poolExample(t *testing.T) string {
	var p stakepool.Pool
	var alice, bob, carol stakepool.Position
	rows := [][]string{{"", "T", "S", "Alice", "Bob", "Carol", "leaving"}}
	leaving := uint64(0)
	row := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(what, err)
		}
		rows = append(rows, []string{what, comma(p.Stake), comma(p.Shares), comma(p.Value(alice.Shares)), comma(p.Value(bob.Shares)),
			comma(p.Value(carol.Shares)), comma(p.Value(leaving))})
	}
	row("Alice bonds 1,000", p.Join(&alice, 1000))
	row("Bob delegates 3,000", p.Join(&bob, 3000))
	leaving = bob.Shares / 3
	row("a third of Bob's begins to leave", p.Leave(&bob, leaving))
	taken := p.Slash(500)
	row("a slash of 5 %", nil)
	row("it is reversed", p.Restore(taken))
	p.Slash(500)
	row("a slash of 5 %, final", nil)
	row("Carol delegates 1,000", p.Join(&carol, 1000))
	paid, err := p.Release(leaving)
	leaving = 0
	row("Bob is paid "+comma(paid), err)
	return table(rows)
}

func incomeExample(t *testing.T) string {
	const commission essaim.Bps = 1000
	var p stakepool.Pool
	var owner, bob, carol stakepool.Position
	for _, pos := range []*stakepool.Position{&owner, &bob, &carol} {
		if err := p.Join(pos, 1000); err != nil {
			t.Fatal(err)
		}
	}
	rows := [][]string{{"three delegations of 1,000, commission 10 %", "commission", "owner has", "Bob gets", "Carol has", "in the pool"}}
	for _, income := range []uint64{1000, 1001, 1002, 10} {
		own := uint64(commission.Of(essaim.Amount(income)))
		if !p.Reward(income - own) {
			t.Fatal("refused")
		}
		b := p.Take(&bob) // claims each time; the others wait
		p.Settle(&owner)
		p.Settle(&carol)
		rows = append(rows, []string{"income of " + comma(income), comma(own), comma(owner.Pending), comma(b), comma(carol.Pending), comma(p.Unclaimed)})
	}
	return table(append(rows, []string{"all claim", "", comma(p.Take(&owner)), comma(p.Take(&bob)), comma(p.Take(&carol)), comma(p.Unclaimed)}))
}

// ringExample lets rings pay themselves on the application and counts their coins.
func ringExample(t *testing.T) string {
	rows := [][]string{{"one owner of payer, coordinators, miners, model", "κ", "paid itself", "fees", "emission back", "loss", "loss/fees"}}
	const kappa = 8000
	for _, r := range []rings{
		{"alone, nobody else works", kappa, 1, 10_000_000, 0},
		{"alone, others work ten times as much", kappa, 1, 10_000_000, 100_000_000},
		{"a ring of 100, nobody else works", kappa, 100, 1_000_000, 0},
		{"a ring of 100, others work as much", kappa, 100, 1_000_000, 100_000_000},
		{"a ring of 100, tasks of 99 uaim: no fee", kappa, 100, 99, 100_000_000},
		{"alone", 5000, 1, 10_000_000, 10_000_000},
		{"alone", 9500, 1, 10_000_000, 10_000_000},
		{"alone, at the most that the ledger accepts", 9999, 1, 10_000_000, 10_000_000},
	} {
		paid, fees, loss := r.run(t)
		back, ratio := int64(fees)-loss, "-"
		if fees > 0 {
			ratio = fmt.Sprintf("%.2f %%", 100*float64(loss)/float64(fees))
		}
		if loss <= 0 {
			t.Errorf("%s: paying oneself gains %d", r.what, -loss)
		}
		rows = append(rows, []string{r.what, essaim.Bps(r.kappa).String(), comma(paid), comma(fees), comma(uint64(max(back, 0))), comma(uint64(loss)), ratio})
	}
	all := registry.DefaultParams()
	all.EmissionBps = 10_000
	if _, err := newMarket(t).do(&registryv1.MsgUpdateParams{Authority: governance(), Params: all}); err == nil {
		t.Error("the ledger accepts an emission of all fees")
	}
	return table(rows)
}

// rings pay themselves for three epochs.
type rings struct {
	what   string
	kappa  uint32 // emission_bps
	actors int
	price  uint64 // of one task for each miner and epoch
	honest uint64 // paid for the work of others in each epoch
}

// run returns what the ring paid itself, the protocol fees of it, and what it has lost in
// the end: what it could not claim because it is no whole uaim is lost, too.
func (r rings) run(t *testing.T) (paid, fees uint64, loss int64) {
	w := newRing(t, r)
	start := w.wealth(t, ringAccounts...)
	session := uint64(0)
	trade := func(payer essaim.Address, name string, model essaim.Digest, amount uint64) {
		session++
		open := openSession(amount, w.ctx.BlockHeight()+100)
		open.Payer, open.Coordinator = payer.String(), public("c"+name).String()
		w.must(t, open)
		w.must(t, settle(session, "c"+name, line("m"+name, model, essaim.Amount(amount), 1)))
	}
	epoch := int64(w.ruled(t).EpochBlocks)
	for range 3 {
		for i := range r.actors {
			trade(ringAccounts[0], fmt.Sprint(i), firstModel, r.price)
			paid, fees = paid+r.price, fees+r.price/100
		}
		if r.honest > 0 {
			trade(account(4), "", secondModel, r.honest)
		}
		w.advance(t, w.ctx.BlockHeight()+epoch)
	}
	w.advance(t, w.ctx.BlockHeight()+2*epoch+2)
	w.check(t)
	return paid, fees, int64(start) - int64(w.wealth(t, ringAccounts...))
}

// ringAccounts are of one person: the first owns the model and the miners, the second the
// coordinators, since one account backs at most a hundred actors.
var ringAccounts = []essaim.Address{account(0), account(1)}

// newRing is a world of default parameters, with short periods, in which the ring's
// actors and one honest pair work.
func newRing(t *testing.T, r rings) *world {
	p := registry.DefaultParams()
	p.EpochBlocks, p.AuditBlocks, p.EmissionBps = 10, 3, r.kappa
	m := market.DefaultParams()
	m.ChallengeBlocks, m.OpeningBps = 0, 0 // who pays itself has vouchers
	g := genesis()
	g.Registry, g.Market, g.Emission = &p, &m, 10_000_000*essaim.AIM
	g.Models[0].Owner = account(0)
	for i := range g.Accounts {
		g.Accounts[i].Balance = 10_000_000 * essaim.AIM
	}
	g.Models = append(g.Models, g.Models[0])
	g.Models[1].Manifest, g.Models[1].Owner = manifest("second"), account(5)
	w := newWorldOf(t, g)
	for i := -1; i < r.actors; i++ {
		miner, coordinator, name := ringAccounts[0], ringAccounts[1], fmt.Sprint(i)
		if i < 0 {
			miner, coordinator, name = account(3), account(3), ""
		}
		c, mi := registerCoordinator(coordinator, "c"+name), registerMiner(miner, "m"+name)
		c.Bond, mi.Bond = p.MinBondCoordinator, p.MinBondMiner
		mi.CommissionBps = 10_000
		w.must(t, c)
		w.must(t, mi)
	}
	return w
}

func (w *world) ruled(t *testing.T) registryv1.Params {
	var g registryv1.GenesisState
	w.app.Codec.MustUnmarshalJSON(registry.NewModule(w.app.Registry).ExportGenesis(w.ctx, w.app.Codec), &g)
	return g.Params
}

// wealth is all that accounts have after claiming: coins and stake.
func (w *world) wealth(t *testing.T, accounts ...essaim.Address) (sum uint64) {
	for _, a := range accounts {
		w.must(t, &registryv1.MsgClaim{Delegator: a.String()})
		owned, err := w.app.Registry.Owned(w.ctx, a)
		if err != nil {
			t.Fatal(err)
		}
		sum += uint64(w.balance(a)) + owned
	}
	return sum
}

func slashExample(t *testing.T) string {
	rows := [][]string{{"cause", "of the stake", "jail, blocks", "voids unpaid emission"}}
	for _, r := range registry.DefaultParams().Slashes {
		share := essaim.Bps(r.MinBps).String()
		if r.MaxBps != r.MinBps {
			share = strings.TrimSuffix(share, " %") + " to " + essaim.Bps(r.MaxBps).String()
		}
		rows = append(rows, []string{r.Cause, share, comma(uint64(r.JailBlocks)), map[bool]string{true: "yes", false: "no"}[r.Refutes]})
	}
	p := registry.DefaultParams()
	return table(rows) + fmt.Sprintf("appeal window %s blocks, an appeal adds %s; a day has 17,280 blocks of 5 s\n", comma(uint64(p.AppealBlocks)), comma(uint64(p.ExtensionBlocks)))
}

func deterrenceExample(*testing.T) string {
	rows := [][]string{{"p", "d", "r", "q", "S above", "twice that", "tasks"}}
	for _, x := range []struct{ p, d, r float64 }{{.01, .95, 1. / 3}, {.05, .95, 1. / 3}, {.05, .5, 1. / 3}, {.1, .95, 1. / 3}, {.05, 1, 0}} {
		q := x.p * x.d * (1 - x.r)
		s := (.7-.05)/q - 1
		rows = append(rows, []string{
			fmt.Sprintf("%.0f %%", 100*x.p), fmt.Sprintf("%.2f", x.d), fmt.Sprintf("%.2f", x.r), fmt.Sprintf("%.4f", q),
			fmt.Sprintf("%.1f R", s), fmt.Sprintf("%.1f R", 2*s), fmt.Sprintf("%.0f", math.Ceil(math.Log(.01)/math.Log(1-q))),
		})
	}
	return table(rows)
}

// TestParametersDeter: the inequality holds with the parameters that a network begins with, and
// governance cannot change them so that it would not.
func TestParametersDeter(t *testing.T) {
	p := registry.DefaultParams()
	for _, r := range p.Slashes {
		if r.Cause != registry.CauseWrongResult {
			continue
		}
		if least, ok := trust.Deters(essaim.Bps(r.MinBps), trust.ShareExact); !ok {
			t.Errorf("a wrong result costs %s of the stake, %s would deter", essaim.Bps(r.MinBps), least)
		}
		// The smallest miner that may register, at the dearest job that it may get.
		stake := essaim.Amount(p.MinBondMiner)
		need, ok := trust.Typical(trust.LargestJob(stake), trust.ShareExact).Deterrent()
		if lost := essaim.Bps(r.MinBps).Of(stake); !ok || lost < need {
			t.Errorf("a miner with %s loses %s, at its dearest job %s would deter", stake, lost, need)
		}
	}
	w := newMarket(t)
	for why, change := range map[string]func(*registryv1.Params){
		"a slash that is too small": func(p *registryv1.Params) { p.Slashes[0].MinBps = 488 },
		"no slash":                  func(p *registryv1.Params) { p.Slashes = p.Slashes[1:] },
	} {
		p := registry.DefaultParams()
		change(&p)
		if _, err := w.do(&registryv1.MsgUpdateParams{Authority: governance(), Params: p}); err == nil || !strings.Contains(err.Error(), "deter") {
			t.Errorf("governance may change to %s: %v", why, err)
		}
		state := w.app.Codec.MustMarshalJSON(&registryv1.GenesisState{Params: p})
		if err := registry.NewModule(w.app.Registry).ValidateGenesis(w.app.Codec, nil, state); err == nil || !strings.Contains(err.Error(), "deter") {
			t.Errorf("a chain may begin with %s: %v", why, err)
		}
	}
	p.Slashes[0].MinBps = 489
	w.must(t, &registryv1.MsgUpdateParams{Authority: governance(), Params: p})
}

func coverExample(t *testing.T) string {
	p := registry.DefaultParams()
	rows := [][]string{{"stake", "", "answers for"}}
	for _, s := range []essaim.Amount{1_000 * essaim.AIM, 20_000 * essaim.AIM} {
		rows = append(rows,
			[]string{s.String(), "miner: unaudited income", essaim.Bps(p.CoverMinerBps).Of(s).String()},
			[]string{s.String(), "coordinator: open deposits", (s * essaim.Amount(p.CoverCoordinator)).String()})
	}
	return table(rows)
}

// comma groups digits by three.
func comma(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
