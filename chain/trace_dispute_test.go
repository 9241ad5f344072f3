package chain_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
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
	"github.com/essaim/essaim/gen/chain/marketv1"
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

var (
	challenger = account(6)
	planSalt   = quant.Hash{9}
)

// A trial is a court with a picture that "m1" drew in session 1, settled, and what both sides know of it.
type trial struct {
	*world
	record *dispute.Record // of the right picture
	model  *dispute.Model
	pixels essaim.Digest
	plan   essaim.Digest // of the tasks
	rules  dispute.Rules
	seq    uint64 // of receipts
	key    string // of the miner's machine
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
	x := &trial{world: w, record: new(dispute.Record), key: "m1"}
	request := engine.Request{Model: pictures, Prompt: "red apple", Seed: 7, Width: 64, Height: 64}
	out, err := e.RunTraced(t.Context(), request, x.record.Add)
	if err != nil {
		t.Fatal(err)
	}
	begins, err := e.Plan(request)
	if err != nil {
		t.Fatal(err)
	}
	x.plan = essaim.Digest(quant.PlanHash(planSalt, quant.Hash(begins)))
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

// receipt is the miner's statement of a result, each of another task. trace may be zero: it commits to one when asked.
func (x *trial) receipt(t testing.TB, trace quant.Hash, change func(*essaim.Receipt)) essaim.ReceiptFile {
	t.Helper()
	x.seq++
	task := essaim.NewTask(chainID, 1, x.seq)
	task.Kind, task.Model, task.Input = essaim.KindImage, essaim.DigestOf(pixel.Manifest()), essaim.Digest{3}
	task.Seed, task.Width, task.Height, task.Steps, task.Plan = 7, 64, 64, 1, x.plan
	r := essaim.NewReceipt(task)
	r.Attempt, r.Miner, r.Coordinator, r.Engine, r.Output = 1, public("m1"), public("c"), pixel.Name, essaim.Digest{1}
	r.Pixels, r.Trace, r.Price, r.Units = x.pixels, essaim.Digest(trace), picturePrice, 1
	if change != nil {
		change(&r)
	}
	signedTask, err1 := essaim.SignTask(task, nodeKey("session"))
	signed, err2 := essaim.SignReceipt(r, nodeKey("m1"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return essaim.ReceiptFile{Task: signedTask, Receipt: signed}
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

func showing(f essaim.ReceiptFile) *disputev1.MsgDispute {
	return &disputev1.MsgDispute{Challenger: challenger.String(), Receipt: f.Receipt, Task: f.Task}
}

func (x *trial) open(t testing.TB, f essaim.ReceiptFile) uint64 {
	t.Helper()
	var r disputev1.MsgDisputeResponse
	if err := r.Unmarshal(x.must(t, showing(f)).Data); err != nil {
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
	m, err := dispute.Miner{Record: miner, Model: x.model, Salt: planSalt}.Answer(g, x.rules)
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
		msg.Signature = ed25519.Sign(nodeKey(x.key), essaim.MoveBytes(chainID, id, d.Turn, b, public(x.key)))
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
}

// TestAnotherPictureThanTheTrace: the trace is honest, the picture is not.
func TestAnotherPictureThanTheTrace(t *testing.T) {
	x := settledTrial(t)
	id := x.open(t, x.receipt(t, x.record.Trace(), func(r *essaim.Receipt) { r.Pixels[3] ^= 1 }))
	if d := x.play(t, id, x.record, x.record); d.Verdict != disputev1.Verdict_VERDICT_MINER_WRONG {
		t.Errorf("%+v", d)
	}
}

// TestOtherWordsThanThePlan: a miner that read another prompt than its task's plan says has no first move.
func TestOtherWordsThanThePlan(t *testing.T) {
	x := settledTrial(t)
	wrong := x.wrong(0)
	id := x.open(t, x.receipt(t, quant.Hash{}, nil))
	msg, _ := x.next(t, id, wrong, x.record)
	refused(t, x.world, msg, xdispute.ErrMove)
	x.pass(t, x.state(t).Disputes[id-1].Deadline+1)
	if d := x.state(t).Disputes[id-1]; d.Verdict != disputev1.Verdict_VERDICT_MINER_WRONG || !d.Silent || d.Slash == 0 {
		t.Errorf("%+v", d)
	}
}

// TestAReceiptIsDisputedUntilTheMinerIsFoundWrong: who loses on purpose does not save the miner from others, and the
// miner pays once.
func TestAReceiptIsDisputedUntilTheMinerIsFoundWrong(t *testing.T) {
	x := settledTrial(t)
	had, stake := x.balance(challenger), x.stakeOf(t, "m1")
	wrong := x.wrong(40)
	f := x.receipt(t, quant.Hash{}, func(r *essaim.Receipt) { r.Pixels[0] ^= 1 })
	friend := x.open(t, f)
	move, _ := x.next(t, friend, wrong, x.record)
	x.must(t, move)
	x.pass(t, x.state(t).Disputes[friend-1].Deadline+1)
	if d := x.state(t).Disputes[friend-1]; d.Verdict != disputev1.Verdict_VERDICT_CHALLENGER_WRONG {
		t.Errorf("%+v", d)
	}
	x.supply -= disputeBond - disputeBond/2
	first, second, third := x.open(t, f), x.open(t, f), x.open(t, f)
	if d := x.play(t, first, wrong, x.record); d.Verdict != disputev1.Verdict_VERDICT_MINER_WRONG || d.Slash == 0 || d.Restitution != picturePrice {
		t.Errorf("%+v", d)
	}
	refused(t, x.world, showing(f), xdispute.ErrDisputed)
	for _, id := range []uint64{second, third} {
		if d := x.play(t, id, wrong, x.record); d.Verdict != disputev1.Verdict_VERDICT_MINER_WRONG || d.Slash != 0 || d.Restitution != 0 {
			t.Errorf("%+v", d)
		}
	}
	if got := x.stakeOf(t, "m1"); got != stake-stake/20 || x.balance(challenger) != had-disputeBond {
		t.Errorf("stake %d of %d, the challenger has %d of %d", got, stake, x.balance(challenger), had)
	}
}

// TestOtherWordsAreNotDecided: without a plan, what follows from the prompt is not the ledger's to judge, and costs nobody anything.
func TestOtherWordsAreNotDecided(t *testing.T) {
	x := settledTrial(t)
	had, stake := x.balance(challenger), x.stakeOf(t, "m1")
	wrong := x.wrong(0)
	x.plan = essaim.Digest{}
	id := x.open(t, x.receipt(t, quant.Hash{}, nil))
	if d := x.play(t, id, wrong, x.record); d.Verdict != disputev1.Verdict_VERDICT_UNDECIDED || x.balance(challenger) != had || x.stakeOf(t, "m1") != stake {
		t.Errorf("%+v", d)
	}
}

// TestNothingComesBackTwice: what a dispute promises the payer and what a challenge takes back from the line are together
// no more than the line.
func TestNothingComesBackTwice(t *testing.T) {
	jobs := honest()
	jobs[2].change = func(r *essaim.Receipt) { r.Input = essaim.Digest{1} }
	k := build(t, 1, jobs)
	at := slices.IndexFunc(k.openings, func(o essaim.Opening) bool { return o.Amount == 3000 })
	line := k.lines[0]
	if line.Amount != 6000 {
		line = k.lines[1]
	}
	for _, first := range []string{"dispute", "challenge"} {
		w := newWaiting(t, nil)
		w.must(t, openSession(100_000, 100))
		w.must(t, k.settle(t, 21_000-1000))
		restored, back := uint64(0), uint64(0)
		dispute := func() {
			got, err := w.app.Market.Restore(w.ctx, 1, line.Miner, line.Model, 5000)
			if err != nil {
				t.Fatal(err)
			}
			restored += got
		}
		challenge := func() {
			var said marketv1.MsgChallengeResponse
			if err := said.Unmarshal(w.must(t, challenge(1, k.opening(at))).Data); err != nil {
				t.Fatal(err)
			}
			back = said.Conviction.Voided + said.Conviction.Restitution
		}
		if first == "dispute" {
			dispute()
			challenge()
		} else {
			challenge()
			dispute()
		}
		if restored+back != uint64(line.Amount) {
			t.Errorf("%s first: %d restored, %d taken back of a line of %d", first, restored, back, line.Amount)
		}
		dispute()
		if restored+back != uint64(line.Amount) {
			t.Errorf("%s first: %d restored in the end", first, restored)
		}
		w.check(t)
	}
}

// TestOwnersDoNotGainByConvictingThemselves: whatever a session was worth and however much others have delegated, an owner
// that pays its own miner for a wrong picture, and convicts it, has less in the end.
func TestOwnersDoNotGainByConvictingThemselves(t *testing.T) {
	base := newTrial(t)
	wrong := base.wrong(40)
	rapid.Check(t, func(q *rapid.T) {
		x := base.on(base.branch())
		price := rapid.Uint64Range(1, 10_000).Draw(q, "price")
		if others := rapid.Uint64Range(0, 900_000).Draw(q, "delegated"); others > 0 {
			x.must(t, &registryv1.MsgDelegate{Delegator: account(7).String(), NodeKey: public("m1").String(), Amount: others})
		}
		owns := func() essaim.Amount {
			a, ok, err := x.app.Registry.Actor(x.ctx, public("m1"))
			if !ok || err != nil {
				q.Fatal(err)
			}
			return a.Bond
		}
		bond := owns()
		x.must(t, settle(1, "c", line("m1", essaim.DigestOf(pixel.Manifest()), essaim.Amount(price), 1)))
		had := x.balance(payer)
		id := x.open(t, x.receipt(t, quant.Hash{}, func(r *essaim.Receipt) { r.Pixels[0] ^= 1; r.Price = essaim.Amount(price) }))
		if d := x.play(t, id, wrong, x.record); d.Verdict != disputev1.Verdict_VERDICT_MINER_WRONG {
			q.Fatalf("%+v", d)
		}
		lost := bond - owns()
		x.ctx = x.ctx.WithBlockHeight(1 << 21)
		x.advance(t, x.ctx.BlockHeight()+1)
		back := x.balance(payer) - had
		if back > lost {
			q.Fatalf("price %d: %d come back, the owner lost %d", price, back, lost)
		}
		if want := min(essaim.Amount(price), lost); back+500 < want {
			q.Fatalf("price %d: %d come back, the owner lost %d", price, back, lost)
		}
	})
}

func TestWhatCannotBeDisputed(t *testing.T) {
	before := newTrial(t)
	right := before.record.Trace()
	show := func(x *trial, change func(*essaim.Receipt)) *disputev1.MsgDispute {
		return showing(x.receipt(t, right, change))
	}
	refused(t, before.world, show(before, nil), market.ErrOpen)
	x := settledTrial(t)
	for name, c := range map[string]struct {
		change func(*essaim.Receipt)
		want   error
	}{
		"another task":     {func(r *essaim.Receipt) { r.Task[0] ^= 1 }, xdispute.ErrReceipt},
		"another chain":    {func(r *essaim.Receipt) { r.ChainID = "other" }, xdispute.ErrReceipt},
		"no such session":  {func(r *essaim.Receipt) { r.Session = 9 }, market.ErrNotFound},
		"nothing was paid": {func(r *essaim.Receipt) { r.Model = firstModel }, market.ErrPayee},
		"not square":       {func(r *essaim.Receipt) { r.Width = 256 }, xdispute.ErrReceipt},
	} {
		t.Run(name, func(t *testing.T) { refused(t, x.world, show(x, c.change), c.want) })
	}
	damaged := show(x, nil)
	damaged.Receipt = append(damaged.Receipt, 0)
	refused(t, x.world, damaged, xdispute.ErrReceipt)
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
	var raw disputev1.GenesisState
	x.app.Codec.MustUnmarshalJSON(state, &raw)
	if plain, err := raw.Marshal(); err != nil || len(raw.Disputes) == 0 || len(raw.Disputes[0].Game) == 0 || bytes.Contains(plain, []byte("apple")) {
		t.Errorf("in the middle of a game the state holds the prompt, or no game: %+v, %v", raw, err)
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
			trace := s.miner.Trace()
			if rapid.Bool().Draw(q, "commits later") {
				trace = quant.Hash{}
			}
			sides[x.open(t, x.receipt(t, trace, nil))] = s
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
		for _, l := range x.marketState(q).Lines {
			restored += l.Restored
		}
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
		if x.balance(challenger) != had-lost*disputeBond || x.balance(minerOwner) != owner+lost*(disputeBond/2) || x.stakeOf(t, "m1") != stake || restored > 2*picturePrice {
			q.Fatalf("challenger %d of %d, owner %d more, stake %d want %d, %d restored", x.balance(challenger), had, x.balance(minerOwner)-owner, x.stakeOf(t, "m1"), stake, restored)
		}
	})
}
