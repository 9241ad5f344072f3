package proving

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/proof"
)

// TestReceiptOfAnother: a proof in succinct mode, made by anybody, is taken for what a receipt says, and for nothing else.
func TestReceiptOfAnother(t *testing.T) {
	if testing.Short() {
		t.Skip("a commitment to a whole model takes seconds")
	}
	r := essaim.Receipt{
		ChainID: "essaim-test", Task: essaim.DigestOf([]byte("task")), Model: essaim.DigestOf(pixel.Manifest()),
		Seed: 7, Width: 64, Height: 64, Steps: 1,
	}
	p, err := newProver()
	if err != nil {
		t.Fatal(err)
	}
	_, st, b, err := (&mode{modeSuccinct}).drawn(t.Context(), p, proof.Of(r, "red apple"))
	if err != nil {
		t.Fatal(err)
	}
	r.Pixels = st.Result
	name := filepath.Join(t.TempDir(), "apple.proof")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	said, err := CheckReceipt(t.Context(), r, "", "red apple", name, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(said)
	if _, err := CheckReceipt(t.Context(), r, "", "green apple", name, ""); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("another prompt: %v", err)
	}
	r.Task[0] ^= 1
	if _, err := CheckReceipt(t.Context(), r, "", "red apple", name, ""); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("another task: %v", err)
	}
}
