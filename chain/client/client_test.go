package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/client"
)

// story is the life of one session, told through every method that sends.
func story(t *testing.T, b *bench) {
	ctx, c := t.Context(), dial(t, b)
	owner, payer, other := account(t, 0), account(t, 1), account(t, 2)
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	model, _, err := c.RegisterModel(ctx, other, manifest("m"), 1000, 500)
	ok("register model", err)
	offers := []essaim.Offer{{Model: model, UnitPrice: 900}}
	_, err = c.RegisterMiner(ctx, owner, essaim.Actor{NodeKey: public("m1"), HPKEKey: []byte{1}, Bond: 1000}, possession(owner, essaim.RoleMiner, "m1"))
	ok("register miner", err)
	_, err = c.UpdateActor(ctx, owner, essaim.Actor{NodeKey: public("m1"), HPKEKey: []byte{2}, Offers: offers})
	ok("update", err)
	_, err = c.AddBond(ctx, owner, public("m1"), 5)
	ok("add bond", err)
	_, err = c.RegisterCoordinator(ctx, owner, essaim.Actor{NodeKey: public("c"), Bond: 1000, Fee: 200, URL: "https://gate.example"}, possession(owner, essaim.RoleCoordinator, "c"))
	ok("register coordinator", err)

	height, err := c.Height(ctx)
	ok("height", err)
	id, _, err := c.OpenSession(ctx, payer, essaim.Session{Coordinator: public("c"), Deposit: 10_000, SessionKey: public("s"), Expiry: height + 100})
	ok("open", err)
	s, err := c.Session(ctx, id)
	ok("session", err)
	if s.Payer != payer.Address() || s.Deposit != 10_000 || s.State != essaim.SessionOpen || s.Coordinator != public("c") || s.SessionKey != public("s") || s.Expiry != height+100 {
		t.Fatalf("session %+v", s)
	}
	settlement, sig := claim(id, "c", essaim.Line{Miner: public("m1"), Model: model, Amount: 9_000, Tasks: 3})
	voucher := func(amount essaim.Amount) []byte {
		b, err := essaim.SignVoucher(essaim.Voucher{ChainID: chainID, Session: id, Coordinator: public("c"), Amount: amount, Count: 3}, nodeKey("s"))
		ok("sign a voucher", err)
		return b
	}
	tx, err := c.Settle(ctx, other, settlement, sig, voucher(9_000))
	ok("settle", err)
	var sum essaim.Amount
	for _, p := range tx.Payments {
		sum += p.Amount
	}
	if len(tx.Payments) != 5 || sum != 10_000 || tx.Payments[0] != (essaim.Payment{To: owner.Address(), Reason: "miner", Amount: 9_000 - 90 - 450 - 180}) {
		t.Fatalf("paid %+v", tx.Payments)
	}
	again, err := c.Tx(ctx, tx.Hash)
	ok("look up", err)
	if again.Height != tx.Height || !slices.Equal(again.Payments, tx.Payments) {
		t.Fatalf("%+v, looked up: %+v", tx, again)
	}
	if found, err := c.SettledBy(ctx, id); err != nil || !reflect.DeepEqual(found, tx) {
		t.Errorf("settled by %+v (%v), want %+v", found, err, tx)
	}
	if _, err := c.SettledBy(ctx, id+99); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Errorf("a session that is not there was settled: %v", err)
	}
	settled, err := c.Settlement(ctx, id)
	ok("settlement", err)
	if settled.Root != settlement.Root || settled.Paid != 9_000 || settled.Refunded != 1_000 || settled.Tasks != 3 || settled.Height != tx.Height ||
		settled.Receipts != settlement.Receipts || !slices.Equal(settled.Lines, settlement.Lines) {
		t.Fatalf("settlement %+v", settled)
	}
	if settled.Pending != 0 || settled.Acknowledged != 9_000 || settled.PendingUntil <= settled.Height {
		t.Fatalf("settlement %+v", settled)
	}
	waits(t, c, owner, payer, other, model)
	_, err = c.Send(ctx, other, essaim.Address{7}, 42)
	ok("send", err)
	_, err = c.UpdateModel(ctx, other, model, 1, 2)
	ok("update model", err)
	_, err = c.TransferModel(ctx, other, model, payer.Address())
	ok("transfer model", err)
	_, err = c.Retire(ctx, owner, public("m1"))
	ok("retire", err)
}

// waits settles a session of which the payer has acknowledged nothing, and shows a voucher
// afterwards.
func waits(t *testing.T, c *client.Client, owner, payer, other client.Signer, model essaim.Digest) {
	t.Helper()
	ctx := t.Context()
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	height, err := c.Height(ctx)
	ok("height", err)
	id, _, err := c.OpenSession(ctx, payer, essaim.Session{Coordinator: public("c"), Deposit: 10_000, SessionKey: public("s"), Expiry: height + 100})
	ok("open", err)
	settlement, sig := claim(id, "c", essaim.Line{Miner: public("m1"), Model: model, Amount: 9_000, Tasks: 3})
	_, err = c.Settle(ctx, other, settlement, sig, nil)
	ok("settle", err)
	settled, err := c.Settlement(ctx, id)
	ok("settlement", err)
	if settled.Pending != 9_000 || settled.Paid != 0 || settled.Refunded != 1_000 || settled.Acknowledged != 0 {
		t.Fatalf("settlement %+v", settled)
	}
	voucher, err := essaim.SignVoucher(essaim.Voucher{ChainID: chainID, Session: id, Coordinator: public("c"), Amount: 9_000, Count: 3}, nodeKey("s"))
	ok("sign a voucher", err)
	_, err = c.ShowVoucher(ctx, other, id, voucher)
	ok("show a voucher", err)
	if settled, err = c.Settlement(ctx, id); err != nil || settled.Pending != 0 || settled.Paid != 9_000 {
		t.Fatalf("settlement %+v: %v", settled, err)
	}
	if _, err := c.ShowVoucher(ctx, other, id, voucher); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Fatal(err)
	}
	if draws, err := c.Draws(ctx, public("c")); err != nil || len(draws) != 0 {
		t.Fatal(draws, err)
	}
	for what, f := range map[string]func() error{
		"a challenge": func() error {
			_, _, err := c.Challenge(ctx, owner, id, []essaim.Opening{{Task: []byte{1}, Siblings: []essaim.SumRoot{{1}}}})
			return err
		},
		"a claim": func() error { _, err := c.ClaimLapsed(ctx, owner, []byte{1}, nil, nil); return err },
	} {
		if err := f(); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("%s of nothing: %v", what, err)
		}
	}
	if _, _, err := c.Open(ctx, owner, id, 0, essaim.Opening{}); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Errorf("an answer to nothing: %v", err)
	}
}

func TestStory(t *testing.T) {
	b := newBench(t)
	story(t, b)
	ctx, c := t.Context(), dial(t, b)
	if got, err := c.Balance(ctx, essaim.Address{7}); err != nil || got != 42 {
		t.Fatal(got, err)
	}
	if got, err := c.Balance(ctx, essaim.Address{8}); err != nil || got != 0 {
		t.Fatal(got, err)
	}
	if m, err := c.Miner(ctx, public("m1")); err != nil || m.RetiredAt == 0 || m.Bond != 1005 || len(m.Offers) != 1 {
		t.Fatalf("%+v %v", m, err)
	}
	if _, err := c.Coordinator(ctx, public("m1")); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Fatal(err)
	}
	miners, err := c.Miners(ctx)
	if err != nil || len(miners) != 1 {
		t.Fatal(miners, err)
	}
	coordinators, err := c.Coordinators(ctx)
	if err != nil || len(coordinators) != 1 || coordinators[0].URL != "https://gate.example" || coordinators[0].Fee != 200 {
		t.Fatal(coordinators, err)
	}
	models, err := c.Models(ctx)
	if err != nil || len(models) != 1 || models[0].Owner != account(t, 1).Address() || models[0].Royalty != 2 || string(models[0].Manifest) != string(manifest("m")) {
		t.Fatal(models, err)
	}
	if m, err := c.Model(ctx, models[0].Digest); err != nil || m.Name != "m" {
		t.Fatal(m, err)
	}
	sessions, err := c.Sessions(ctx, account(t, 1).Address())
	if err != nil || len(sessions) != 2 || sessions[0].State != essaim.SessionSettled {
		t.Fatal(sessions, err)
	}
	totals, err := c.Query(ctx, "/essaim.market.v1.Query/Totals", nil)
	if want := `{"totals":{"deposited":"20000","paid":"18000","refunded":"2000","escrowed":"0","burned":"0"}}`; err != nil || string(totals) != want {
		t.Fatalf("%s %v", totals, err)
	}
	b.blocks(t, 4)
	if _, err := c.Miner(ctx, public("m1")); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Fatal("a retired miner stays after its bond went back:", err)
	}
}

// TestSameScriptSameState: the application is a function of its transactions.
func TestSameScriptSameState(t *testing.T) {
	a, b := newBench(t), newBench(t)
	story(t, a)
	story(t, b)
	if !slices.Equal(a.hashes, b.hashes) || len(a.hashes) < 10 {
		t.Fatalf("two runs of one script differ:\n%v\n%v", a.hashes, b.hashes)
	}
}

// TestExportGoesOn: a chain that begins with another's export has all of its state, and
// exports the same again.
func TestExportGoesOn(t *testing.T) {
	b := newBench(t)
	story(t, b)
	ctx, c := t.Context(), dial(t, b)
	height, err := c.Height(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, expiry := range []int64{height + 4, height + 500} { // one expires now, one on the next chain
		if _, _, err := c.OpenSession(ctx, account(t, 1), essaim.Session{Coordinator: public("c"), Deposit: 777, SessionKey: public("s"), Expiry: expiry}); err != nil {
			t.Fatal(err)
		}
	}
	b.blocks(t, 3)
	if _, err := c.Retire(ctx, account(t, 0), public("c")); err != nil {
		t.Fatal(err)
	}
	first, err := b.app.Export(chainID, begin)
	if err != nil {
		t.Fatal(err)
	}
	next := onDoc(t, first)
	second, err := next.app.Export(chainID, begin)
	if err != nil {
		t.Fatal(err)
	}
	if second.InitialHeight != first.InitialHeight+1 { // next has made one block
		t.Fatalf("heights %d, then %d", first.InitialHeight, second.InitialHeight)
	}
	for _, module := range []string{"model", "registry", "market", "auth"} {
		if a, b := moduleState(t, first, module), moduleState(t, second, module); a != b {
			t.Errorf("%s: exported\n%s\nthen\n%s", module, a, b)
		}
	}
	next.blocks(t, 3) // the coordinator's bond goes back on the next chain
	if _, err := dial(t, next).Coordinator(ctx, public("c")); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Fatal(err)
	}
	if _, err := dial(t, next).Send(ctx, account(t, 0), essaim.Address{7}, 1); err != nil {
		t.Fatal(err)
	}
}

func moduleState(t *testing.T, doc *cmttypes.GenesisDoc, module string) string {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(doc.AppState, &all); err != nil {
		t.Fatal(err)
	}
	return string(all[module])
}

// TestManyPages lists more items than one query returns.
func TestManyPages(t *testing.T) {
	b := newBench(t)
	ctx, c := t.Context(), dial(t, b)
	const n = 201
	for i := range n {
		if _, _, err := c.RegisterModel(ctx, account(t, 0), manifest(strings.Repeat("x", i%100+1)+string(rune('A'+i/100))), 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	models, err := c.Models(ctx)
	if err != nil || len(models) != n {
		t.Fatal(len(models), err)
	}
	if !slices.IsSortedFunc(models, func(a, b essaim.Model) int { return strings.Compare(a.Digest.String(), b.Digest.String()) }) {
		t.Fatal("not in the order of the digests")
	}
}

// TestConcurrentSenders: many goroutines and two clients send from one account.
func TestConcurrentSenders(t *testing.T) {
	b := newBench(t)
	clients := []*client.Client{dial(t, b), dial(t, b)}
	const n = 20
	var wg sync.WaitGroup
	errs := make(chan error, n*len(clients))
	for _, c := range clients {
		for range n {
			wg.Go(func() {
				_, err := c.Send(t.Context(), account(t, 0), essaim.Address{7}, 1)
				for essaim.CodeOf(err) == essaim.CodeConflict { // the other client was faster, three times
					_, err = c.Send(t.Context(), account(t, 0), essaim.Address{7}, 1)
				}
				errs <- err
			})
		}
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := clients[0].Balance(t.Context(), essaim.Address{7}); err != nil || got != 2*n {
		t.Fatal(got, err)
	}
}

// TestRefusals: each way to fail has the code that a caller acts on.
func TestRefusals(t *testing.T) {
	b := newBench(t)
	ctx, c, signer := t.Context(), dial(t, b), account(t, 0)
	miner := essaim.Actor{NodeKey: public("m1"), HPKEKey: []byte{1}, Bond: 1000}
	proof := possession(signer, essaim.RoleMiner, "m1")
	if _, err := c.RegisterMiner(ctx, signer, miner, proof); err != nil {
		t.Fatal(err)
	}
	poor := miner
	poor.NodeKey, poor.Bond = public("m2"), rich
	settlement, sig := claim(9, "c")
	for name, x := range map[string]struct {
		do   func() error
		want essaim.Code
	}{
		"twice": {func() error { _, err := c.RegisterMiner(ctx, signer, miner, proof); return err }, essaim.CodeConflict},
		"without proof": {func() error {
			m := miner
			m.NodeKey = public("x")
			_, err := c.RegisterMiner(ctx, signer, m, proof)
			return err
		}, essaim.CodeRefused},
		"too poor to bond": {func() error {
			_, err := c.RegisterMiner(ctx, signer, poor, possession(signer, essaim.RoleMiner, "m2"))
			return err
		}, essaim.CodeInsufficient},
		"too poor to send": {func() error { _, err := c.Send(ctx, signer, essaim.Address{7}, rich); return err }, essaim.CodeInsufficient},
		"no such account":  {func() error { _, err := c.Send(ctx, account(t, 9), essaim.Address{7}, 1); return err }, essaim.CodeInsufficient},
		"no such session":  {func() error { _, err := c.Settle(ctx, signer, settlement, sig, nil); return err }, essaim.CodeNotFound},
		"no such query":    {func() error { _, err := c.Query(ctx, "/essaim.market.v1.Query/Nothing", nil); return err }, essaim.CodeBadInput},
		"no such service":  {func() error { _, err := c.Query(ctx, "Totals", nil); return err }, essaim.CodeBadInput},
		"bad request": {func() error {
			_, err := c.Query(ctx, "/essaim.market.v1.Query/Session", json.RawMessage("[]"))
			return err
		}, essaim.CodeBadInput},
		"unknown actor":   {func() error { _, err := c.Actor(ctx, public("x")); return err }, essaim.CodeNotFound},
		"unknown model":   {func() error { _, err := c.Model(ctx, essaim.Digest{}); return err }, essaim.CodeNotFound},
		"unknown session": {func() error { _, err := c.Session(ctx, 9); return err }, essaim.CodeNotFound},
		"not settled":     {func() error { _, err := c.Settlement(ctx, 9); return err }, essaim.CodeNotFound},
		"unknown tx":      {func() error { _, err := c.Tx(ctx, strings.Repeat("0", 64)); return err }, essaim.CodeNotFound},
		"malformed hash":  {func() error { _, err := c.Tx(ctx, "zz"); return err }, essaim.CodeBadInput},
		"another's actor": {func() error { _, err := c.Retire(ctx, account(t, 1), public("m1")); return err }, essaim.CodeRefused},
	} {
		t.Run(name, func(t *testing.T) {
			if err := x.do(); essaim.CodeOf(err) != x.want {
				t.Fatalf("%v: code %s, want %s", err, essaim.CodeOf(err), x.want)
			}
		})
	}
}

// TestLost: a transaction that can never be included is reported as such, and the account
// can send again.
func TestLost(t *testing.T) {
	b := newBench(t)
	ctx, c := t.Context(), dial(t, b)
	b.drop = true
	_, err := c.Send(ctx, account(t, 0), essaim.Address{7}, 1)
	if essaim.CodeOf(err) != essaim.CodeExpired || !strings.Contains(err.Error(), "transaction ") {
		t.Fatal(err)
	}
	b.drop = false
	if _, err := c.Send(ctx, account(t, 0), essaim.Address{7}, 1); err != nil {
		t.Fatal(err)
	}
}

// away is a node that cannot be reached.
type away struct{ client.RPC }

func (away) Status(context.Context) (*ctypes.ResultStatus, error)     { return nil, errAway }
func (away) ABCIInfo(context.Context) (*ctypes.ResultABCIInfo, error) { return nil, errAway }

var errAway = errors.New("connection refused")

func TestUnreachable(t *testing.T) {
	c := dial(t, away{})
	if _, err := c.Status(t.Context()); essaim.CodeOf(err) != essaim.CodeUnavailable || !errors.Is(err, errAway) {
		t.Fatal(err)
	}
	if err := c.WaitHeight(t.Context(), 1); essaim.CodeOf(err) != essaim.CodeUnavailable {
		t.Fatal(err)
	}
	remote, err := client.Dial("http://127.0.0.1:1") // nobody listens there
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Status(t.Context()); essaim.CodeOf(err) != essaim.CodeUnavailable || essaim.HintOf(err) == "" {
		t.Fatal(err)
	}
	if _, err := client.Dial("::"); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Fatal(err)
	}
}

// TestDecodeTx checks that a failed transaction can be read, too.
func TestDecodeTx(t *testing.T) {
	b := newBench(t)
	ctx, c := t.Context(), dial(t, b)
	tx, err := c.Send(ctx, account(t, 0), account(t, 1).Address(), 5)
	if err != nil {
		t.Fatal(err)
	}
	bz, err := c.DecodeTx(ctx, strings.ToLower(tx.Hash))
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Hash   string
		Height int64
		Code   uint32
		Tx     struct {
			Body struct{ Messages []map[string]any }
		}
		Events []struct{ Type string }
	}
	if err := json.Unmarshal(bz, &out); err != nil {
		t.Fatal(err)
	}
	if out.Hash != tx.Hash || out.Height != tx.Height || out.Code != 0 || len(out.Events) == 0 ||
		len(out.Tx.Body.Messages) != 1 || out.Tx.Body.Messages[0]["@type"] != "/cosmos.bank.v1beta1.MsgSend" {
		t.Fatalf("%s", bz)
	}
}
