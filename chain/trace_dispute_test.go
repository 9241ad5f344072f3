package chain_test

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cosmos/cosmos-sdk/client"

	"github.com/essaim/essaim"
	xdispute "github.com/essaim/essaim/chain/x/dispute"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/gen/chain/disputev1"
	"github.com/essaim/essaim/gen/chain/modelv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/dispute"
	"github.com/essaim/essaim/quant/program"
)

const (
	disputeBond  = 1001
	moveBlocks   = 5
	picturePrice = 300 // of a picture
)

var challenger = account(6)

// A trial is a court with a picture that "m1" drew in session 1, settled, and what both sides know of it.
type trial struct {
	*world
	record *dispute.Record // of the right picture
	model  *dispute.Model
	pixels essaim.Digest
	rules  dispute.Rules
	seq    uint64 // of receipts
}

func newTrial(t testing.TB) *trial {
	t.Helper()
	w := newCourtWith(t, 1<<20)
	pictures := essaim.DigestOf(pixel.Manifest())
	w.must(t, &modelv1.MsgRegisterModel{Owner: account(5).String(), Manifest: pixel.Manifest()})
	w.must(t, &registryv1.MsgAddBond{Owner: minerOwner.String(), NodeKey: public("m1").String(), Amount: 100_000})
	w.must(t, &disputev1.MsgUpdateParams{Authority: governance(), Params: disputev1.Params{Bond: disputeBond, MoveBlocks: moveBlocks}})
	w.must(t, openSession(10_000, 20))
	e, err := pixel.New()
	if err != nil {
		t.Fatal(err)
	}
	x := &trial{world: w, record: new(dispute.Record)}
	out, err := e.RunTraced(t.Context(), engine.Request{Model: pictures, Prompt: "red apple", Seed: 7, Width: 64, Height: 64}, x.record.Add)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("../engine/pixel/weights.bin")
	if err != nil {
		t.Fatal(err)
	}
	if x.model, err = dispute.NewModel(file); err != nil {
		t.Fatal(err)
	}
	run := program.Run{Engine: pixel.Name, Seed: 7, Width: 64}
	x.pixels = out.PixelsDigest
	x.rules = dispute.Rules{Program: func(words quant.Header) (dispute.Program, error) { return program.Of(run, words) }, Kinds: program.Kinds()}
	return x
}

// settledTrial is a trial whose session is paid.
func settledTrial(t testing.TB) *trial {
	x := newTrial(t)
	x.must(t, settle(1, "c", line("m1", essaim.DigestOf(pixel.Manifest()), 2*picturePrice, 2)))
	return x
}

// on is the trial on a branch of its world.
func (x *trial) on(w *world) *trial { y := *x; y.world = w; return &y }

// receipt is the miner's statement of a trace, each another one.
func (x *trial) receipt(t testing.TB, trace quant.Hash, change func(*essaim.Receipt)) []byte {
	t.Helper()
	x.seq++
	r := essaim.NewReceipt(essaim.Task{ChainID: chainID, Session: 1, Seq: x.seq, Model: essaim.DigestOf(pixel.Manifest()), Seed: 7, Width: 64, Height: 64, Steps: 1})
	r.Attempt, r.Miner, r.Coordinator, r.Engine, r.Output = 1, public("m1"), public("c"), pixel.Name, essaim.Digest{1}
	r.Pixels, r.Trace, r.Price, r.Units = x.pixels, essaim.Digest(trace), picturePrice, 1
	if change != nil {
		change(&r)
	}
	signed, err := essaim.SignReceipt(r, nodeKey("m1"))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// wrong is the record with one number changed.
func (x *trial) wrong(at int) *dispute.Record {
	out := new(dispute.Record)
	for i, o := range x.record.Operators {
		if i == at {
			o.Output = slices.Clone(o.Output)
			o.Output[0] ^= 1
		}
		out.Append(o)
	}
	return out
}

func (x *trial) open(t testing.TB, receipt []byte) uint64 {
	t.Helper()
	var r disputev1.MsgDisputeResponse
	if err := r.Unmarshal(x.must(t, &disputev1.MsgDispute{Challenger: challenger.String(), Receipt: receipt}).Data); err != nil {
		t.Fatal(err)
	}
	return r.Dispute
}

func (x *trial) state(t interface{ Fatal(...any) }) (g disputev1.GenesisState) {
	if err := x.app.Codec.UnmarshalJSON(xdispute.NewModule(x.app.Dispute).ExportGenesis(x.ctx, x.app.Codec), &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// next is the next move of a dispute, if its side has one.
func (x *trial) next(t interface{ Fatal(...any) }, id uint64, miner, other *dispute.Record) (*disputev1.MsgMove, bool) {
	d := x.state(t).Disputes[id-1]
	g, err := dispute.DecodeGame(d.Game)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dispute.Miner{Record: miner, Model: x.model}.Answer(g, x.rules)
	by := account(7)
	if g.Turn() == dispute.TheChallenger {
		m, err = dispute.Challenger{Record: other, Model: x.model}.Ask(g, x.rules)
		by = challenger
	}
	if err != nil {
		return nil, false
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	msg := &disputev1.MsgMove{Submitter: by.String(), Dispute: id, Move: b}
	if g.Turn() == dispute.TheMiner {
		msg.Signature = ed25519.Sign(nodeKey("m1"), essaim.MoveBytes(chainID, id, d.Turn, b, public("m1")))
	}
	return msg, true
}

// play plays a dispute until it ends or a side is silent; then its time passes.
func (x *trial) play(t testing.TB, id uint64, miner, other *dispute.Record) disputev1.Dispute {
	t.Helper()
	for x.state(t).Disputes[id-1].Deadline != 0 {
		if msg, ok := x.next(t, id, miner, other); ok {
			x.must(t, msg)
			continue
		}
		x.pass(t, x.state(t).Disputes[id-1].Deadline+1)
	}
	return x.state(t).Disputes[id-1]
}

// pass ends blocks up to and with a height.
func (x *trial) pass(t interface{ Fatal(...any) }, height int64) {
	for x.ctx.BlockHeight() <= height {
		if err := xdispute.NewModule(x.app.Dispute).EndBlock(x.ctx); err != nil {
			t.Fatal(err)
		}
		x.ctx = x.ctx.WithBlockHeight(x.ctx.BlockHeight() + 1)
	}
}

// TestAWrongPictureIsRefunded: a miner that signed a wrong number loses a twentieth of its stake, of which the payer
// gets the price back; the challenger has its bond again.
func TestAWrongPictureIsRefunded(t *testing.T) {
	x := settledTrial(t)
	for _, at := range []int{2, 40, 60, len(x.record.Operators) - 1} {
		x := x.on(x.branch())
		wrong := x.wrong(at)
		had, stake := x.balance(challenger), x.stakeOf(t, "m1")
		id := x.open(t, x.receipt(t, wrong.Trace(), nil))
		if x.balance(challenger) != had-disputeBond {
			t.Error("no bond was put up")
		}
		if err := x.app.Dispute.CheckInvariant(x.ctx); err != nil {
			t.Error(err)
		}
		d := x.play(t, id, wrong, x.record)
		if d.Verdict != disputev1.Verdict_VERDICT_MINER_WRONG || d.Slash != 1 || d.Silent {
			t.Errorf("operator %d: %+v", at+1, d)
		}
		if got := x.stakeOf(t, "m1"); got != stake-stake/20 || x.balance(challenger) != had {
			t.Errorf("stake %d of %d, the challenger has %d of %d", got, stake, x.balance(challenger), had)
		}
		before := x.balance(payer)
		x.advance(t, x.ctx.BlockHeight()+1)
		x.ctx = x.ctx.WithBlockHeight(1<<20 + 1000) // the appeal window is over
		x.advance(t, x.ctx.BlockHeight()+1)
		if got := x.balance(payer) - before; got != picturePrice {
			t.Errorf("the payer got %d back, want %d", got, picturePrice)
		}
	}
}

// TestARightPictureStands: whoever disputes it loses the bond, half of it to the miner's owner.
func TestARightPictureStands(t *testing.T) {
	x := settledTrial(t)
	had, owner, stake := x.balance(challenger), x.balance(minerOwner), x.stakeOf(t, "m1")
	id := x.open(t, x.receipt(t, x.record.Trace(), nil))
	d := x.play(t, id, x.record, x.wrong(50))
	if d.Verdict != disputev1.Verdict_VERDICT_CHALLENGER_WRONG || d.Slash != 0 {
		t.Errorf("%+v", d)
	}
	burned := uint64(x.supply) - x.app.Bank.GetSupply(x.ctx, essaim.Denom).Amount.Uint64()
	if x.balance(challenger) != had-disputeBond || x.balance(minerOwner) != owner+disputeBond/2 || burned != disputeBond-disputeBond/2 || x.stakeOf(t, "m1") != stake {
		t.Errorf("challenger %d of %d, owner %d more, %d burned", x.balance(challenger), had, x.balance(minerOwner)-owner, burned)
	}
	if len(x.state(t).Restored) != 0 {
		t.Error("restitution is still reserved")
	}
}

// TestAnotherPictureThanTheTrace: the trace is honest, the picture is not.
func TestAnotherPictureThanTheTrace(t *testing.T) {
	x := settledTrial(t)
	id := x.open(t, x.receipt(t, x.record.Trace(), func(r *essaim.Receipt) { r.Pixels[3] ^= 1 }))
	if d := x.play(t, id, x.record, x.record); d.Verdict != disputev1.Verdict_VERDICT_MINER_WRONG {
		t.Errorf("%+v", d)
	}
}

// TestOtherWordsAreNotDecided: what follows from the prompt is not the ledger's to judge, and costs nobody anything.
func TestOtherWordsAreNotDecided(t *testing.T) {
	x := settledTrial(t)
	had, stake := x.balance(challenger), x.stakeOf(t, "m1")
	wrong := x.wrong(0)
	id := x.open(t, x.receipt(t, wrong.Trace(), nil))
	if d := x.play(t, id, wrong, x.record); d.Verdict != disputev1.Verdict_VERDICT_UNDECIDED || x.balance(challenger) != had || x.stakeOf(t, "m1") != stake {
		t.Errorf("%+v", d)
	}
}

func TestWhatCannotBeDisputed(t *testing.T) {
	before := newTrial(t)
	right := before.record.Trace()
	show := func(x *trial, change func(*essaim.Receipt)) *disputev1.MsgDispute {
		return &disputev1.MsgDispute{Challenger: challenger.String(), Receipt: x.receipt(t, right, change)}
	}
	refused(t, before.world, show(before, nil), market.ErrOpen)
	x := settledTrial(t)
	for name, c := range map[string]struct {
		change func(*essaim.Receipt)
		want   error
	}{
		"no trace":         {func(r *essaim.Receipt) { r.Trace = essaim.Digest{} }, xdispute.ErrReceipt},
		"another chain":    {func(r *essaim.Receipt) { r.ChainID = "other" }, xdispute.ErrReceipt},
		"no such session":  {func(r *essaim.Receipt) { r.Session = 9 }, market.ErrNotFound},
		"nothing was paid": {func(r *essaim.Receipt) { r.Model = firstModel }, market.ErrPayee},
		"not square":       {func(r *essaim.Receipt) { r.Width = 256 }, xdispute.ErrReceipt},
	} {
		t.Run(name, func(t *testing.T) { refused(t, x.world, show(x, c.change), c.want) })
	}
	again := show(x, nil)
	x.must(t, again)
	refused(t, x.world, again, xdispute.ErrDisputed)
	refused(t, x.world, &disputev1.MsgDispute{Challenger: challenger.String(), Receipt: append(slices.Clone(again.Receipt), 0)}, xdispute.ErrReceipt)
	x.ctx = x.ctx.WithBlockHeight(1000)
	refused(t, x.world, show(x, nil), market.ErrLate)
}

func TestMovesOfOthers(t *testing.T) {
	x := settledTrial(t)
	wrong := x.wrong(30)
	id := x.open(t, x.receipt(t, wrong.Trace(), nil))
	first, _ := x.next(t, id, wrong, x.record)
	forged := *first
	forged.Signature = ed25519.Sign(nodeKey("m2"), essaim.MoveBytes(chainID, id, 0, first.Move, public("m1")))
	refused(t, x.world, &forged, xdispute.ErrSignature)
	later := *first
	later.Signature = ed25519.Sign(nodeKey("m1"), essaim.MoveBytes(chainID, id, 1, first.Move, public("m1")))
	refused(t, x.world, &later, xdispute.ErrSignature)
	refused(t, x.world, &disputev1.MsgMove{Submitter: account(7).String(), Dispute: 99}, xdispute.ErrNotFound)
	nonsense := []byte{0xa0}
	refused(t, x.world, &disputev1.MsgMove{Dispute: id, Move: nonsense, Signature: ed25519.Sign(nodeKey("m1"), essaim.MoveBytes(chainID, id, 0, nonsense, public("m1")))}, xdispute.ErrMove)
	x.must(t, first)
	second, _ := x.next(t, id, wrong, x.record)
	second.Submitter = account(7).String()
	refused(t, x.world, second, xdispute.ErrChallenger)

	mid := xdispute.NewModule(x.app.Dispute)
	state := mid.ExportGenesis(x.ctx, x.app.Codec)
	if err := mid.ValidateGenesis(x.app.Codec, client.TxEncodingConfig(nil), state); err != nil {
		t.Error(err)
	}
	mid.InitGenesis(x.ctx, x.app.Codec, state)
	if again := mid.ExportGenesis(x.ctx, x.app.Codec); !bytes.Equal(again, state) {
		t.Errorf("exported %s, then %s", state, again)
	}
	if d := x.play(t, id, wrong, x.record); d.Verdict != disputev1.Verdict_VERDICT_MINER_WRONG {
		t.Errorf("after an import: %+v", d)
	}
	refused(t, x.world, second, xdispute.ErrEnded)
}

// TestRandomDisputes: over any disputes about right and wrong receipts, with sides that fall silent, the one that is
// right wins, and every uaim is where it belongs.
func TestRandomDisputes(t *testing.T) {
	base := settledTrial(t)
	rapid.Check(t, func(q *rapid.T) {
		x := base.on(base.branch())
		had, owner, stake := x.balance(challenger), x.balance(minerOwner), x.stakeOf(t, "m1")
		type side struct {
			miner, challenger *dispute.Record
			silent            int // after so many moves
			honest            bool
		}
		sides := map[uint64]side{}
		for range rapid.IntRange(1, 4).Draw(q, "disputes") {
			wrong := x.wrong(rapid.IntRange(1, len(x.record.Operators)-1).Draw(q, "operator"))
			s := side{x.record, wrong, rapid.IntRange(0, 20).Draw(q, "moves"), rapid.Bool().Draw(q, "honest")}
			if !s.honest {
				s.miner, s.challenger = wrong, x.record
			}
			sides[x.open(t, x.receipt(t, s.miner.Trace(), nil))] = s
		}
		for moved := 1; moved > 0; {
			moved = 0
			for id := uint64(1); id <= uint64(len(sides)); id++ {
				d, s := x.state(q).Disputes[id-1], sides[id]
				if d.Deadline == 0 {
					continue
				}
				msg, ok := x.next(q, id, s.miner, s.challenger)
				cheatersTurn := ok && (len(msg.Signature) > 0) != s.honest
				if !ok || cheatersTurn && int(d.Turn) >= s.silent {
					continue // until time passes for all that are silent
				}
				moved++
				x.must(t, msg)
				if err := x.app.Dispute.CheckInvariant(x.ctx); err != nil {
					q.Fatal(err)
				}
			}
		}
		x.pass(q, x.ctx.BlockHeight()+moveBlocks+1)
		if err := x.app.Dispute.CheckInvariant(x.ctx); err != nil {
			q.Fatal(err)
		}
		lost, restored := essaim.Amount(0), uint64(0)
		for id, s := range sides {
			d := x.state(q).Disputes[id-1]
			want := disputev1.Verdict_VERDICT_MINER_WRONG
			if s.honest {
				want = disputev1.Verdict_VERDICT_CHALLENGER_WRONG
				lost++
			} else {
				stake -= stake / 20
			}
			if d.Verdict != want {
				q.Fatalf("dispute %d: %+v, want %s", id, d, want)
			}
		}
		for _, r := range x.state(q).Restored {
			restored += r.Amount
		}
		if x.balance(challenger) != had-lost*disputeBond || x.balance(minerOwner) != owner+lost*(disputeBond/2) || x.stakeOf(t, "m1") != stake || restored > 2*picturePrice {
			q.Fatalf("challenger %d of %d, owner %d more, stake %d want %d, %d restored", x.balance(challenger), had, x.balance(minerOwner)-owner, x.stakeOf(t, "m1"), stake, restored)
		}
	})
}
