package chain_test

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/modelv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// ledger runs random schedules against the application and keeps the market's books a
// second time, in the plainest way.
type ledger struct {
	*world
	sessions                   map[uint64]uint64 // open session to deposit
	payers                     map[uint64]string // of every session
	opened                     uint64
	deposited, paid, refunded  uint64
	accepted, refused, expired int
	gone, claimed, toppedUp    int
}

// try runs a message; a refused one must leave no trace.
func (l *ledger) try(t *rapid.T, msg sdk.Msg) bool {
	before := l.fingerprint()
	if _, err := l.do(msg); err == nil {
		l.accepted++
		return true
	}
	l.refused++
	if l.fingerprint() != before {
		t.Fatalf("refused %s changed the state", sdk.MsgTypeURL(msg))
	}
	return false
}

var minerNames = []string{"m1", "m2", "m3", "nobody"}

func (l *ledger) open(t *rapid.T) {
	deposit := rapid.OneOf(rapid.Uint64Range(0, 100_000), rapid.Uint64()).Draw(t, "deposit")
	m := openSession(deposit, l.ctx.BlockHeight()+rapid.Int64Range(-1, 12).Draw(t, "blocks"))
	m.Payer = account(rapid.IntRange(0, accounts-1).Draw(t, "payer")).String()
	if l.try(t, m) {
		l.opened++
		l.sessions[l.opened], l.payers[l.opened] = deposit, m.Payer
		l.deposited += deposit
	}
}

func (l *ledger) topUp(t *rapid.T) {
	id := rapid.Uint64Range(0, l.opened+1).Draw(t, "session")
	m := &marketv1.MsgTopUp{Session: id, Amount: rapid.OneOf(rapid.Uint64Range(0, 100_000), rapid.Uint64()).Draw(t, "amount")}
	m.Payer = account(rapid.IntRange(0, accounts-1).Draw(t, "payer")).String()
	if s, ok := l.payers[id]; ok && rapid.IntRange(0, 3).Draw(t, "stranger") > 0 {
		m.Payer = s
	}
	if l.try(t, m) {
		l.sessions[id] += m.Amount
		l.deposited += m.Amount
		l.toppedUp++
	}
}

func (l *ledger) settle(t *rapid.T) {
	id := rapid.Uint64Range(0, l.opened+1).Draw(t, "session")
	var lines []essaim.Line
	for _, miner := range minerNames {
		for _, model := range []essaim.Digest{firstModel, secondModel} {
			if rapid.IntRange(0, 2).Draw(t, "earns") == 0 && (miner != "nobody" || rapid.Bool().Draw(t, "ghost")) {
				amount := essaim.Amount(rapid.Uint64Range(0, 20_000).Draw(t, "amount"))
				lines = append(lines, line(miner, model, amount, rapid.Uint64Range(1, 9).Draw(t, "tasks")))
			}
		}
	}
	m := settle(id, rapid.SampledFrom([]string{"c", "c", "c", "m1"}).Draw(t, "signer"), lines...)
	if rapid.IntRange(0, 9).Draw(t, "tamper") == 0 {
		m.Root[rapid.IntRange(0, 47).Draw(t, "byte")] ^= 1
	}
	if l.try(t, m) {
		var sum uint64
		for _, x := range lines {
			if _, there, err := l.app.Registry.Actor(l.ctx, x.Miner); err != nil || !there {
				l.gone++ // its line goes back to the payer
				continue
			}
			sum += uint64(x.Amount)
		}
		l.paid += sum
		l.refunded += l.sessions[id] - sum
		delete(l.sessions, id)
	}
}

// pass lets blocks end, and finds which sessions they have expired.
func (l *ledger) pass(t *rapid.T) {
	target := l.ctx.BlockHeight() + rapid.Int64Range(1, 6).Draw(t, "blocks")
	for l.ctx.BlockHeight() < target {
		if err := registry.NewModule(l.app.Registry).EndBlock(l.ctx); err != nil {
			t.Fatal(err)
		}
		if err := market.NewModule(l.app.Market).EndBlock(l.ctx); err != nil {
			t.Fatal(err)
		}
		l.ctx = l.ctx.WithBlockHeight(l.ctx.BlockHeight() + 1)
	}
	for _, s := range l.state(t).Sessions {
		if deposit, open := l.sessions[s.Id]; open && s.State == marketv1.State_STATE_EXPIRED {
			l.refunded += deposit
			l.expired++
			delete(l.sessions, s.Id)
		}
	}
}

func (l *ledger) register(t *rapid.T) {
	name := rapid.SampledFrom(minerNames[:3]).Draw(t, "miner")
	owner := account(rapid.IntRange(2, 4).Draw(t, "owner"))
	if rapid.Bool().Draw(t, "retire") {
		l.try(t, &registryv1.MsgRetire{Owner: owner.String(), NodeKey: public(name).String()})
		return
	}
	m := registerMiner(owner, name)
	m.Bond = rapid.Uint64Range(990, 5000).Draw(t, "bond")
	l.try(t, m)
}

// accuse shows a promise, which the coordinator may or may not have kept.
func (l *ledger) accuse(t *rapid.T) {
	id := rapid.Uint64Range(1, l.opened+1).Draw(t, "session")
	miner := rapid.SampledFrom(minerNames).Draw(t, "miner")
	a := promise(id, essaim.Amount(rapid.Uint64Range(10, 20_000).Draw(t, "promised")), func(a *essaim.Ack) { a.Miner = public(miner) })
	signed, err := essaim.SignAck(a, nodeKey("c"))
	if err != nil {
		t.Fatal(err)
	}
	if l.try(t, &marketv1.MsgClaimUnpaid{
		Submitter: account(7).String(), Ack: signed, Signature: ed25519.Sign(nodeKey(miner), essaim.ClaimBytes(signed, a.Miner)),
	}) {
		l.claimed++
	}
	l.try(t, &registryv1.MsgUnjail{Owner: coordinatorOwner.String(), NodeKey: public("c").String()})
}

func (l *ledger) offer(t *rapid.T) {
	l.try(t, &modelv1.MsgUpdateOffer{
		Owner: account(1).String(), Model: firstModel.String(), RoyaltyBps: rapid.Uint32Range(0, 3100).Draw(t, "royalty"),
	})
	l.try(t, &registryv1.MsgUpdate{
		Owner: coordinatorOwner.String(), NodeKey: public("c").String(), FeeBps: rapid.Uint32Range(0, 2100).Draw(t, "fee"),
	})
	l.try(t, &marketv1.MsgUpdateParams{
		Authority: governance(), Params: marketv1.Params{ProtocolFeeBps: rapid.Uint32Range(0, 210).Draw(t, "protocol fee"), MaxSessionBlocks: 10, ClaimBlocks: rapid.Uint32Range(0, 20).Draw(t, "claim blocks")},
	})
}

func (l *ledger) state(t *rapid.T) (g marketv1.GenesisState) {
	bz := market.NewModule(l.app.Market).ExportGenesis(l.ctx, l.app.Codec)
	if err := l.app.Codec.UnmarshalJSON(bz, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// audit compares the two sets of books.
func (l *ledger) audit(t *rapid.T) {
	l.check(t)
	var open uint64
	for _, deposit := range l.sessions {
		open += deposit
	}
	g := l.state(t).Totals
	got := fmt.Sprint(g.Deposited, g.Paid, g.Refunded, g.Escrowed)
	if want := fmt.Sprint(l.deposited, l.paid, l.refunded, open); got != want {
		t.Fatalf("deposited, paid, refunded, escrowed: the ledger says %s, the books %s", got, want)
	}
}

// TestMoneyIsConserved is the market's invariant over random schedules of opening, topping up,
// settling, expiring, registering, retiring and changing of fees, in which most messages
// are refused and must change nothing.
func TestMoneyIsConserved(t *testing.T) {
	base := newCourtWith(t, 1<<20) // what is slashed is not burned on the way: the supply stays
	var accepted, refusals, expired, gone, claimed, toppedUp int
	rapid.Check(t, func(t *rapid.T) {
		l := &ledger{world: base.branch(), sessions: map[uint64]uint64{}, payers: map[uint64]string{}}
		t.Repeat(map[string]func(*rapid.T){
			"open": l.open, "open more": l.open, "top up": l.topUp, "settle": l.settle, "settle more": l.settle, "pass": l.pass, "register": l.register, "offer": l.offer, "accuse": l.accuse,
			"": l.audit,
		})
		accepted, refusals, expired = accepted+l.accepted, refusals+l.refused, expired+l.expired
		gone, claimed, toppedUp = gone+l.gone, claimed+l.claimed, toppedUp+l.toppedUp
	})
	t.Logf("%d messages accepted, %d refused, %d sessions expired, %d lines went back, %d claims upheld, %d deposits raised", accepted, refusals, expired, gone, claimed, toppedUp)
	if accepted == 0 || refusals == 0 || expired == 0 || gone == 0 || claimed == 0 || toppedUp == 0 {
		t.Fatal("the schedules miss a case")
	}
}
