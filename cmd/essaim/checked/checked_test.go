package checked_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/checked"
	"github.com/essaim/essaim/verify/duty"
)

// ledger has a beacon a height, and miners of as many owners.
type ledger struct{ miners []essaim.Actor }

func (ledger) BeaconAt(_ context.Context, height int64) (essaim.Digest, error) {
	return essaim.DigestOf([]byte{byte(height)}), nil
}
func (l ledger) MinersAt(context.Context, int64) ([]essaim.Actor, error) { return l.miners, nil }
func (ledger) Actor(_ context.Context, k essaim.NodeKey) (essaim.Actor, error) {
	return essaim.Actor{NodeKey: k, Owner: essaim.Address{99}}, nil
}

func key(i byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{i}, ed25519.SeedSize))
}

var model = essaim.DigestOf([]byte("a model"))

// receiptOf is a signed receipt of the miner with a number; the request is always the same.
func receiptOf(t *testing.T, miner byte) (essaim.Receipt, []byte) {
	t.Helper()
	task := essaim.NewTask("essaim-test", 1, 1)
	task.Kind, task.Model, task.Input, task.MaxPrice = essaim.KindImage, model, essaim.DigestOf([]byte("in")), 1
	r := essaim.NewReceipt(task)
	r.Miner, r.Coordinator, r.Output, r.Units, r.Price = essaim.NodeKeyOf(key(miner)), essaim.NodeKeyOf(key(100)), essaim.DigestOf([]byte("out")), 1, 1
	r.Engine, r.Width, r.Height, r.Steps, r.MediaType, r.Size, r.Pixels, r.Sealed, r.Attempt = "pixel", 64, 64, 1, "image/png", 3, essaim.DigestOf([]byte("rgb")), essaim.DigestOf([]byte("sealed")), 1
	signedTask, err1 := essaim.SignTask(task, key(50))
	signed, err2 := essaim.SignReceipt(r, key(miner))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return r, essaim.ReceiptFile{Task: signedTask, Receipt: signed}.Encode()
}

func verdict(t *testing.T, r essaim.Receipt, miner byte, height int64) essaim.Check {
	t.Helper()
	again, file := receiptOf(t, miner)
	v := essaim.NewVerdict(r, essaim.NodeKeyOf(key(100)))
	v.Method, v.Result, v.Height, v.Evidence = "rerun", essaim.VerdictValid, height, again.Digest()
	signed, err := essaim.SignVerdict(v, key(100))
	if err != nil {
		t.Fatal(err)
	}
	return essaim.Check{Verdict: signed, Rerun: file}
}

// TestDraws: what the beacon has drawn is computed again; a coordinator that chose, or that says it has not drawn what
// it has, is refused.
func TestDraws(t *testing.T) {
	var l ledger
	for i := range byte(20) {
		l.miners = append(l.miners, essaim.Actor{
			Role: essaim.RoleMiner, NodeKey: essaim.NodeKeyOf(key(i + 1)), Owner: essaim.Address{i + 1}, HPKEKey: []byte{1}, Stake: 1000,
			Offers: []essaim.Offer{{Model: model, UnitPrice: 1}},
		})
	}
	const height = 9
	r, _ := receiptOf(t, 1)
	beacon, _ := l.BeaconAt(t.Context(), height)
	order, err := duty.Order(beacon, r, height, l.miners, essaim.Address{99})
	if err != nil || len(order) != duty.Most {
		t.Fatal(len(order), err)
	}
	number := func(k essaim.NodeKey) byte {
		for i := range byte(20) {
			if essaim.NodeKeyOf(key(i+1)) == k {
				return i + 1
			}
		}
		return 0
	}
	stranger := byte(0)
	for i := byte(2); i <= 20; i++ {
		drawn := false
		for _, k := range order {
			drawn = drawn || k == essaim.NodeKeyOf(key(i))
		}
		if !drawn {
			stranger = i
		}
	}
	done := func(checks ...essaim.Check) essaim.Checked {
		return essaim.Checked{Task: r.Task, Receipt: r.Digest(), State: essaim.AuditDone, Height: height, Share: 10_000, Checks: checks}
	}
	got, err := checked.Examine(t.Context(), r, done(verdict(t, r, number(order[2]), height)), l)
	if err != nil || !got.Drawn || len(got.Checks) != 1 || got.Checks[0].Place != 3 {
		t.Errorf("the third that was drawn: %+v, %v", got, err)
	}
	var text strings.Builder
	got.Print(&text)
	if want := "drawn at height 9, place 3\n    the draw was computed again"; !strings.Contains(text.String(), want) {
		t.Errorf("%q", text.String())
	}
	if got, err := checked.Examine(t.Context(), r, done(verdict(t, r, stranger, height)), nil); err != nil || got.Drawn {
		t.Errorf("without a ledger: %+v, %v", got, err)
	}
	if got, err := checked.Examine(t.Context(), r, done(verdict(t, r, stranger, 0)), l); err != nil || got.Checks[0].Place != 0 {
		t.Errorf("who was asked by the payer: %+v, %v", got, err)
	}
	passed := func(share essaim.Bps) essaim.Checked {
		return essaim.Checked{Task: r.Task, Receipt: r.Digest(), State: essaim.AuditPassed, Height: height, Share: share}
	}
	for why, c := range map[string]essaim.Checked{
		"one that was not drawn":             done(verdict(t, r, stranger, height)),
		"one drawn by another height":        done(verdict(t, r, number(order[2]), height+1)),
		"a receipt that was drawn, passed":   passed(10_000),
		"a share below what is ever audited": passed(1),
	} {
		if got, err := checked.Examine(t.Context(), r, c, l); essaim.CodeOf(err) != essaim.CodeRefused {
			t.Errorf("%s: %+v, %v", why, got, err)
		}
	}
}
