package devnet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/verify/trial"
	"github.com/essaim/essaim/wallet"
)

// cheat is the picture engine with one number of its last operator wrong by one, in what it delivers as in what it
// says of it.
type cheat struct{ *pixel.Engine }

const spoilt = 3 * 1000 // the red of a pixel

func (c cheat) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	out, err := c.Engine.Run(ctx, r, progress)
	if err != nil {
		return out, err
	}
	p, err := png.Decode(bytes.NewReader(out.Data))
	if err != nil {
		return out, err
	}
	rgba := image.NewRGBA(p.Bounds())
	draw.Draw(rgba, p.Bounds(), p, image.Point{}, draw.Src)
	rgba.Pix[spoilt/3*4] ^= 1
	var file bytes.Buffer
	if err := png.Encode(&file, rgba); err != nil {
		return out, err
	}
	var rgb []byte
	for i := 0; i < len(rgba.Pix); i += 4 {
		rgb = append(rgb, rgba.Pix[i:i+3]...)
	}
	out.Data, out.PixelsDigest = file.Bytes(), essaim.DigestOf(rgb)
	return out, nil
}

func (c cheat) RunTraced(ctx context.Context, r engine.Request, watch func(quant.Op)) (engine.Result, error) {
	return c.Engine.RunTraced(ctx, r, func(o quant.Op) {
		if o.Operator.Kind() == "pose" {
			o.Out.Narrow = slices.Clone(o.Out.Narrow)
			o.Out.Narrow[spoilt] ^= 1
		}
		watch(o)
	})
}

// court plays the challenger's side until a dispute is over; between is called after each of its moves.
func (r *running) court(f essaim.ReceiptFile, run *trial.Run, between func(turn uint64)) essaim.Dispute {
	r.t.Helper()
	chain, by := r.Chain(), r.Account(User)
	id, _, err := chain.OpenDispute(r.t.Context(), by, f)
	if err != nil {
		r.t.Fatal(err)
	}
	var d essaim.Dispute
	r.eventually("the dispute is over", func() bool {
		if d, err = chain.Dispute(r.t.Context(), id); err != nil || d.Deadline == 0 {
			return err == nil
		}
		if mine, err := trial.MinersTurn(d.Game); err != nil || mine {
			return false
		}
		move, err := run.Ask(d.Game)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := chain.MoveDispute(r.t.Context(), by, id, move, nil); err != nil {
			r.t.Fatal(err)
		}
		between(d.Turn + 1)
		return false
	})
	return d
}

// TestDispute on a network that runs: a miner whose pictures are wrong by one number defends itself, is convicted and slashed, and
// the payer gets the price back. An honest one wins against a challenger that is wrong, though it is stopped and started
// again in the middle of the game, with another node key.
func TestDispute(t *testing.T) {
	e, err := pixel.New()
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Miners: 2, Genesis: func(g *chain.Genesis) { g.Registry.AppealBlocks = 100 },
		Instead: func(i int) []engine.Engine { return []engine.Engine{[]engine.Engine{cheat{e}, e}[i]} }})
	var keys [2]essaim.NodeKey
	for i, dir := range r.MinerDirs() {
		if keys[i], err = NodeKey(dir); err != nil {
			t.Fatal(err)
		}
	}
	const prompt = "a lamp"
	s := r.open(1*essaim.AIM, 2000)
	files := map[essaim.NodeKey]essaim.ReceiptFile{}
	receipts := map[essaim.NodeKey]essaim.Receipt{}
	for seed := uint64(0); len(files) < 2 && seed < 100; seed++ {
		p, err := s.Draw(t.Context(), client.Request{Model: essaim.DigestOf(pixel.Manifest()), Prompt: prompt, Seed: seed}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if files[p.Receipt.Miner], err = essaim.DecodeReceiptFile(p.ReceiptFile); err != nil {
			t.Fatal(err)
		}
		receipts[p.Receipt.Miner] = p.Receipt
	}
	if len(files) != 2 {
		t.Fatal("a miner got nothing to do")
	}
	if _, err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := func(e engine.Engine, k essaim.NodeKey) *trial.Run {
		run, err := trial.Again(t.Context(), e, receipts[k], prompt, essaim.Digest{})
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	if again(e, keys[1]).Differs(receipts[keys[1]]) || !again(e, keys[0]).Differs(receipts[keys[0]]) {
		t.Fatal("the wrong miner cheats")
	}

	d := r.court(files[keys[0]], again(e, keys[0]), func(uint64) {})
	after := r.balance(User)
	if d.Verdict != "miner wrong" || d.Silent || d.Slash == 0 || d.Restitution != receipts[keys[0]].Price {
		t.Errorf("a cheating miner: %+v", d)
	}
	actor, err := r.Chain().Actor(t.Context(), keys[0])
	if err != nil || actor.Stake != minerBond-minerBond/20 || actor.JailedUntil == 0 {
		t.Errorf("it has %+v, %v", actor, err)
	}
	r.eventually("the payer has the price back", func() bool { return r.balance(User) == after+receipts[keys[0]].Price })

	var rotated essaim.NodeKey
	d = r.court(files[keys[1]], again(cheat{e}, keys[1]), func(turn uint64) {
		if turn != 4 {
			return
		}
		o := r.options()
		o.Engines = []engine.Engine{e}
		p := &r.parts.parts[3] // validator, coordinator, the two miners
		p.cancel()
		<-p.done
		<-r.parts.ended // or the next part would seem to have ended
		rotated = r.rotate(1, keys[1])
		if _, err := r.parts.run(t.Context(), r.minerConfig(1), o); err != nil {
			t.Fatal(err)
		}
	})
	if d.Verdict != "challenger wrong" || d.Silent || d.Slash != 0 {
		t.Errorf("an honest miner: %+v", d)
	}
	if actor, err := r.Chain().Actor(t.Context(), keys[1]); err != nil || actor.Stake != minerBond || actor.NodeKey != rotated {
		t.Errorf("it has %+v, %v", actor, err)
	}
}

// rotate gives a miner another node key, in its folder too: the rest of that, its receipts and the key that opens inputs, is
// what it was.
func (r *running) rotate(miner int, old essaim.NodeKey) essaim.NodeKey {
	r.t.Helper()
	fresh := r.t.TempDir()
	keys, err := wallet.LoadNodeKeys(fresh)
	if err != nil {
		r.t.Fatal(err)
	}
	owner := r.Account(minerName(miner))
	possession := ed25519.Sign(keys.Sign, essaim.PossessionBytes(r.Info().ChainID, owner.Address(), essaim.RoleMiner, keys.ID()))
	if _, _, err := r.Chain().RotateKey(r.t.Context(), owner, old, keys.ID(), possession); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(fresh, "node.key"), filepath.Join(r.MinerDirs()[miner], "node.key")); err != nil {
		r.t.Fatal(err)
	}
	return keys.ID()
}
