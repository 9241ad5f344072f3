package chain_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/modelv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// The cast of the market's tests. Account 1 owns the first model.
var (
	payer, coordinatorOwner, minerOwner, otherOwner = account(0), account(2), account(3), account(4)
	firstModel, secondModel                         = essaim.DigestOf(manifest("first")), essaim.DigestOf(manifest("second"))
	pool                                            = essaim.Address(authtypes.NewModuleAddress("distribution"))
	stakes                                          = essaim.Address(authtypes.NewModuleAddress("registry"))
)

// newMarket is a world with one coordinator, two miners and two models.
func newMarket(t testing.TB) *world {
	w := newWorld(t)
	w.must(t, registerCoordinator(coordinatorOwner, "c"))
	w.must(t, registerMiner(minerOwner, "m1"))
	w.must(t, registerMiner(otherOwner, "m2"))
	w.must(t, &modelv1.MsgRegisterModel{Owner: account(5).String(), Manifest: manifest("second")})
	return w
}

// claim pays an account what its stake has earned.
func (w *world) claim(t testing.TB, a essaim.Address) {
	t.Helper()
	w.must(t, &registryv1.MsgClaim{Delegator: a.String()})
}

func openSession(deposit uint64, expiry int64) *marketv1.MsgOpenSession {
	return &marketv1.MsgOpenSession{
		Payer: payer.String(), Coordinator: public("c").String(), Deposit: deposit, SessionKey: public("session").String(), Expiry: expiry,
	}
}

// line is one payee's total; miner is the name of its key.
func line(miner string, model essaim.Digest, amount essaim.Amount, tasks uint64) essaim.Line {
	return essaim.Line{Miner: public(miner), Model: model, Amount: amount, Tasks: tasks}
}

// settle makes a settlement that adds up, signed by key.
func settle(session uint64, key string, lines ...essaim.Line) *marketv1.MsgSettle {
	slices.SortFunc(lines, essaim.Line.Compare)
	s := essaim.Settlement{ChainID: chainID, Session: essaim.SessionID(session), Lines: lines, Receipts: essaim.Digest{9}}
	var sum essaim.Amount
	var count uint64
	for _, l := range lines {
		sum, count = sum+l.Amount, count+l.Tasks
	}
	s.Root[0] = 0xaa // the hash is not the chain's to check
	binary.BigEndian.PutUint64(s.Root[32:], uint64(sum))
	binary.BigEndian.PutUint64(s.Root[40:], count)
	return signed(s, key)
}

func signed(s essaim.Settlement, key string) *marketv1.MsgSettle {
	m := &marketv1.MsgSettle{
		Submitter: account(7).String(), Session: uint64(s.Session), Root: bytes.Clone(s.Root[:]),
		Signature: ed25519.Sign(nodeKey(key), s.SignBytes(public(key))),
	}
	if !s.Receipts.IsZero() {
		m.Receipts = s.Receipts[:]
	}
	for _, l := range s.Lines {
		m.Lines = append(m.Lines, marketv1.Line{Miner: bytes.Clone(l.Miner[:]), Model: bytes.Clone(l.Model[:]), Amount: uint64(l.Amount), Tasks: l.Tasks})
	}
	return m
}

// TestSplit checks who gets what of one settlement, to the last uaim.
func TestSplit(t *testing.T) {
	w := newMarket(t)
	w.must(t, openSession(1_000_000, 100))
	w.check(t)
	before := map[essaim.Address]essaim.Amount{}
	for _, a := range []essaim.Address{account(1), account(5), coordinatorOwner, minerOwner, otherOwner, pool, stakes} {
		before[a] = w.balance(a)
	}
	r := w.must(t, settle(1, "c",
		line("m1", firstModel, 100_001, 10), // fees rounded down: 1000 pool, 5000 royalty, 10000 coordinator
		line("m2", firstModel, 99, 1),       // 0, 4, 9
		line("m2", secondModel, 1_000, 1),   // 10, no royalty, 100
	))
	w.check(t)
	got := func(a essaim.Address) essaim.Amount { return w.balance(a) - before[a] }
	for a, want := range map[essaim.Address]essaim.Amount{account(1): 5_004, account(5): 0, pool: 1_010, stakes: 84_001 + 86 + 890 + 10_109} {
		if got(a) != want {
			t.Errorf("%s got %d, want %d", a, got(a), want)
		}
	}
	// Miners and the coordinator have it in their pools, where a fraction of a uaim may
	// wait for the next income.
	for a, want := range map[essaim.Address]essaim.Amount{minerOwner: 84_001, otherOwner: 86 + 890, coordinatorOwner: 10_109} {
		w.claim(t, a)
		if got(a)+1 < want || got(a) > want {
			t.Errorf("%s got %d, want %d", a, got(a), want)
		}
	}
	w.check(t)
	if got := w.balance(payer); got != rich-101_100 {
		t.Errorf("payer has %d", got)
	}
	if len(r.Events) == 0 {
		t.Error("no event")
	}
	refused(t, w, settle(1, "c"), market.ErrClosed)
}

// TestFeeOfTheDayOfOpening: a coordinator cannot raise its fee on work already done.
func TestFeeOfTheDayOfOpening(t *testing.T) {
	w := newMarket(t)
	w.must(t, openSession(1_000, 100))
	w.must(t, &registryv1.MsgUpdate{Owner: coordinatorOwner.String(), NodeKey: public("c").String(), FeeBps: 2000})
	before := w.balance(stakes)
	w.must(t, settle(1, "c", line("m1", firstModel, 1_000, 1)))
	if got := w.balance(stakes) - before; got != 840+100 {
		t.Fatalf("miner and coordinator got %d", got)
	}
	w.check(t)
}

// TestGonePayees: a payee that has left, or was never there, takes nothing and stops
// nothing: its line goes back to the payer, and the others are paid.
func TestGonePayees(t *testing.T) {
	w := newMarket(t)
	w.must(t, openSession(10_000, 100))
	w.must(t, &registryv1.MsgRetire{Owner: minerOwner.String(), NodeKey: public("m1").String()})
	w.advance(t, 13)
	if _, ok, err := w.app.Registry.Actor(w.ctx, public("m1")); ok || err != nil {
		t.Fatalf("the miner is still there: %v", err)
	}
	before, others := w.balance(payer), w.balance(stakes)
	r := w.must(t, settle(1, "c",
		line("m1", firstModel, 3_000, 3), line("m2", firstModel, 1_000, 1), line("nobody", firstModel, 500, 1), line("c", secondModel, 70, 1)))
	w.check(t)
	if got := w.balance(payer) - before; got != 10_000-1_000 {
		t.Errorf("the payer has %d back", got)
	}
	if got := w.balance(stakes) - others; got != 840+100 {
		t.Errorf("miner and coordinator got %d", got)
	}
	var said marketv1.MsgSettleResponse
	if err := said.Unmarshal(r.Data); err != nil || said.Paid != 1_000 || said.Refunded != 9_000 {
		t.Errorf("the ledger says %+v, %v", said, err)
	}
	gone := false
	for _, e := range r.Events {
		for _, a := range e.Attributes {
			gone = gone || strings.Contains(a.Value, `"reason":"gone","amount":"3570"`)
		}
	}
	if !gone {
		t.Errorf("the event does not name what could not be paid: %+v", r.Events)
	}
}

// TestRetired: who retires starts nothing new, and finishes what is under way until the
// bond goes back.
func TestRetired(t *testing.T) {
	w := newMarket(t)
	for range 3 {
		w.must(t, openSession(1_000, 100))
	}
	w.must(t, &registryv1.MsgRetire{Owner: minerOwner.String(), NodeKey: public("m1").String()})
	w.must(t, settle(1, "c", line("m1", firstModel, 1_000, 1)))
	w.must(t, &registryv1.MsgRetire{Owner: coordinatorOwner.String(), NodeKey: public("c").String()})
	refused(t, w, openSession(1_000, 100), market.ErrCoordinator)
	w.must(t, settle(2, "c", line("m2", firstModel, 1_000, 1)))
	w.advance(t, 13)
	refused(t, w, settle(3, "c", line("m2", firstModel, 1_000, 1)), market.ErrCoordinator)
	w.advance(t, 101)
	if got := w.balance(payer); got != rich-2_000 {
		t.Fatalf("payer has %d", got)
	}
	w.check(t)
}

func TestOpenRefusals(t *testing.T) {
	w := newMarket(t)
	for name, c := range map[string]struct {
		edit func(m *marketv1.MsgOpenSession)
		want error
	}{
		"no payer":                {func(m *marketv1.MsgOpenSession) { m.Payer = "x" }, market.ErrPayer},
		"no deposit":              {func(m *marketv1.MsgOpenSession) { m.Deposit = 0 }, market.ErrDeposit},
		"too poor":                {func(m *marketv1.MsgOpenSession) { m.Deposit = 1<<64 - 1 }, errAny},
		"no session key":          {func(m *marketv1.MsgOpenSession) { m.SessionKey = "" }, market.ErrSessionKey},
		"zero session key":        {func(m *marketv1.MsgOpenSession) { m.SessionKey = essaim.NodeKey{}.String() }, market.ErrSessionKey},
		"expired at once":         {func(m *marketv1.MsgOpenSession) { m.Expiry = 2 }, market.ErrExpiry},
		"too long":                {func(m *marketv1.MsgOpenSession) { m.Expiry = 1003 }, market.ErrExpiry},
		"expiry that overflows":   {func(m *marketv1.MsgOpenSession) { m.Expiry = 1<<63 - 1 }, market.ErrExpiry},
		"malformed coordinator":   {func(m *marketv1.MsgOpenSession) { m.Coordinator = "x" }, market.ErrCoordinator},
		"unknown coordinator":     {func(m *marketv1.MsgOpenSession) { m.Coordinator = public("nobody").String() }, market.ErrCoordinator},
		"a miner for coordinator": {func(m *marketv1.MsgOpenSession) { m.Coordinator = public("m1").String() }, market.ErrCoordinator},
	} {
		t.Run(name, func(t *testing.T) {
			m := openSession(1_000, 100)
			c.edit(m)
			refused(t, w, m, c.want)
		})
	}
	refused(t, w, &marketv1.MsgUpdateParams{Authority: payer.String(), Params: market.DefaultParams()}, market.ErrAuthority)
	refused(t, w, &marketv1.MsgUpdateParams{Authority: governance(), Params: marketv1.Params{ProtocolFeeBps: 201, MaxSessionBlocks: 1}}, market.ErrParams)
	refused(t, w, &marketv1.MsgUpdateParams{Authority: governance(), Params: marketv1.Params{}}, market.ErrParams)
	w.must(t, &marketv1.MsgUpdateParams{Authority: governance(), Params: marketv1.Params{ProtocolFeeBps: 200, MaxSessionBlocks: 1}})
}

func TestSettleRefusals(t *testing.T) {
	w := newMarket(t)
	w.must(t, openSession(1_000, 100))
	w.must(t, openSession(1_000, 100))
	good := func() *marketv1.MsgSettle {
		return settle(1, "c", line("m1", firstModel, 300, 3), line("m2", firstModel, 700, 7))
	}
	foreign := essaim.Settlement{ChainID: "essaim-other-1", Session: 1}
	wrongSum := essaim.Settlement{ChainID: chainID, Session: 1, Receipts: essaim.Digest{9}, Lines: []essaim.Line{line("m1", firstModel, 5, 1)}}
	wrongCount := wrongSum
	binary.BigEndian.PutUint64(wrongSum.Root[32:], 6)
	binary.BigEndian.PutUint64(wrongSum.Root[40:], 1)
	binary.BigEndian.PutUint64(wrongCount.Root[32:], 5)
	binary.BigEndian.PutUint64(wrongCount.Root[40:], 2)
	twice := essaim.Settlement{ChainID: chainID, Session: 1, Receipts: essaim.Digest{9}, Lines: []essaim.Line{line("m1", firstModel, 0, 1), line("m1", firstModel, 0, 1)}}
	binary.BigEndian.PutUint64(twice.Root[40:], 2)
	nameless := essaim.Settlement{ChainID: chainID, Session: 1, Lines: []essaim.Line{line("m1", firstModel, 0, 1)}}
	binary.BigEndian.PutUint64(nameless.Root[40:], 1)
	short, swapped := good(), good()
	short.Receipts, swapped.Receipts = short.Receipts[:31], bytes.Repeat([]byte{8}, 32)
	unsorted := good()
	slices.Reverse(unsorted.Lines)
	for name, c := range map[string]struct {
		msg  *marketv1.MsgSettle
		want error
	}{
		"unknown session":          {settle(9, "c"), market.ErrNotFound},
		"signed by a miner":        {settle(1, "m1"), market.ErrSignature},
		"receipts not named":       {signed(nameless, "c"), market.ErrSettlement},
		"receipts of 31 bytes":     {short, market.ErrSettlement},
		"other receipts":           {swapped, market.ErrSignature},
		"signed by nobody":         {settle(1, "nobody"), market.ErrSignature},
		"another session's":        {edited(settle(2, "c"), func(m *marketv1.MsgSettle) { m.Session = 1 }), market.ErrSignature},
		"another chain's":          {signed(foreign, "c"), market.ErrSignature},
		"no signature":             {edited(good(), func(m *marketv1.MsgSettle) { m.Signature = nil }), market.ErrSignature},
		"amount changed":           {edited(good(), func(m *marketv1.MsgSettle) { m.Lines[0].Amount++ }), market.ErrSignature},
		"root changed":             {edited(good(), func(m *marketv1.MsgSettle) { m.Root[0]++ }), market.ErrSignature},
		"order changed":            {unsorted, market.ErrSignature},
		"short root":               {edited(good(), func(m *marketv1.MsgSettle) { m.Root = m.Root[1:] }), market.ErrSettlement},
		"short miner":              {edited(good(), func(m *marketv1.MsgSettle) { m.Lines[0].Miner = m.Lines[0].Miner[1:] }), market.ErrSettlement},
		"no model":                 {edited(good(), func(m *marketv1.MsgSettle) { m.Lines[0].Model = nil }), market.ErrSettlement},
		"too many lines":           {edited(good(), func(m *marketv1.MsgSettle) { m.Lines = make([]marketv1.Line, essaim.MaxLines+1) }), market.ErrSettlement},
		"more than the deposit":    {settle(1, "c", line("m1", firstModel, 1_001, 1)), market.ErrSettlement},
		"sum that overflows":       {settle(1, "c", line("m1", firstModel, 1<<64-1, 1), line("m2", firstModel, 2, 1)), market.ErrSettlement},
		"count that overflows":     {settle(1, "c", line("m1", firstModel, 1, 1<<64-1), line("m2", firstModel, 1, 2)), market.ErrSettlement},
		"no task":                  {settle(1, "c", line("m1", firstModel, 1, 0)), market.ErrSettlement},
		"lines not as the root":    {signed(wrongSum, "c"), market.ErrSettlement},
		"count not as the root":    {signed(wrongCount, "c"), market.ErrSettlement},
		"payee twice":              {signed(twice, "c"), market.ErrSettlement},
		"unknown model":            {settle(1, "c", line("m1", firstModel, 1, 1), line("m1", essaim.DigestOf(nil), 1, 1)), market.ErrModel},
		"signature of other lines": {edited(good(), func(m *marketv1.MsgSettle) { m.Signature = settle(1, "c").Signature }), market.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) { refused(t, w, c.msg, c.want) })
	}
	w.must(t, good())
	refused(t, w, good(), market.ErrClosed)
	w.check(t)

	late := settle(2, "c", line("m1", firstModel, 1, 1))
	w.advance(t, 99)
	b := w.branch()
	b.must(t, late) // the last block in which it counts
	w.advance(t, 100)
	refused(t, w, late, market.ErrExpired)
	w.advance(t, 101)
	refused(t, w, late, market.ErrClosed)
	w.check(t)
}

func edited(m *marketv1.MsgSettle, edit func(*marketv1.MsgSettle)) *marketv1.MsgSettle {
	edit(m)
	return m
}

// TestExpiriesAreBounded: a block's end does a limited amount of work, and the next ones
// do the rest; meanwhile an expired session cannot be settled.
func TestExpiriesAreBounded(t *testing.T) {
	w := newMarket(t)
	const n = 150
	for range n {
		w.must(t, openSession(1_000, 10))
	}
	for _, want := range []essaim.Amount{rich - n*1000, rich - 50*1000, rich} {
		w.advance(t, max(10, w.ctx.BlockHeight()+1))
		if got := w.balance(payer); got != want {
			t.Fatalf("height %d: balance %d, want %d", w.ctx.BlockHeight(), got, want)
		}
		if want != rich {
			refused(t, w, settle(n, "c"), market.ErrExpired)
		}
		w.check(t)
	}
}

// TestTopUp: the payer of an open session raises its deposit, and what is not spent comes
// back.
func TestTopUp(t *testing.T) {
	w := newMarket(t)
	w.must(t, openSession(1_000, 100))
	w.must(t, openSession(500, 5))
	topUp := func(payer essaim.Address, session, amount uint64) *marketv1.MsgTopUp {
		return &marketv1.MsgTopUp{Payer: payer.String(), Session: session, Amount: amount}
	}
	w.must(t, topUp(payer, 1, 2_000))
	w.check(t)
	for name, c := range map[string]struct {
		msg  *marketv1.MsgTopUp
		want error
	}{
		"nothing":       {topUp(payer, 1, 0), market.ErrDeposit},
		"overflow":      {topUp(payer, 1, ^uint64(0)), market.ErrDeposit},
		"no session":    {topUp(payer, 9, 1), market.ErrNotFound},
		"a stranger":    {topUp(account(1), 1, 1), market.ErrPayer},
		"not in pocket": {topUp(payer, 1, uint64(w.balance(payer))+1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := w.branch().do(c.msg); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	retired := w.branch()
	retired.must(t, &registryv1.MsgRetire{Owner: coordinatorOwner.String(), NodeKey: public("c").String()})
	refused(t, retired, topUp(payer, 1, 1), market.ErrCoordinator)
	w.advance(t, 6)
	refused(t, w, topUp(payer, 2, 1), market.ErrClosed)
	before := w.balance(payer)
	w.must(t, settle(1, "c", line("m1", firstModel, 2_500, 1)))
	if got := w.balance(payer) - before; got != 500 {
		t.Errorf("%d came back, want 500", got)
	}
	refused(t, w, topUp(payer, 1, 1), market.ErrClosed)
	w.check(t)
}

// TestSettledWorkCounts settles and asks what the owners may say in the house of work.
func TestSettledWorkCounts(t *testing.T) {
	w := newMarket(t)
	w.must(t, openSession(100_000, 100))
	w.must(t, settle(1, "c", line("m1", firstModel, 12_345, 3), line("m2", secondModel, 2_000, 1), line("m1", secondModel, 1_000, 1)))
	for owner, want := range map[essaim.Address]uint64{minerOwner: 123 + 10, otherOwner: 20, coordinatorOwner: 0} {
		var r tallyv1.QueryPowerResponse
		request := &tallyv1.QueryPowerRequest{Address: owner.String()}
		bz, err := request.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.app.GRPCQueryRouter().Route("/essaim.tally.v1.Query/Power")(w.ctx, &abci.RequestQuery{Data: bz})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Unmarshal(out.Value); err != nil {
			t.Fatal(err)
		}
		if r.Work != want {
			t.Errorf("%s has credit for %d uaim of fees, want %d", owner, r.Work, want)
		}
	}
}
