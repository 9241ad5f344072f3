package proving

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/succinct"
)

// A mode is one of proofs, by its name.
type mode struct{ name string }

const modeClear, modeSuccinct = "clear", "succinct"

func newMode() *mode { return &mode{modeClear} }

func (m *mode) flag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.name, "mode", m.name, "clear: quick, shows every activation; succinct: of the network only its last output")
}

// drawn draws what a statement asks for, and proves it: the picture's file, the statement with its result, the proof.
func (m *mode) drawn(ctx context.Context, p *proof.Prover, st proof.Statement) ([]byte, proof.Statement, []byte, error) {
	e, err := pixel.New()
	if err != nil {
		return nil, st, nil, err
	}
	var (
		result engine.Result
		b      []byte
	)
	switch m.name {
	case modeClear:
		result, b, err = p.Run(ctx, e, st, nil)
	case modeSuccinct:
		result, b, err = succinct.Make(ctx, p, e, st)
	default:
		return nil, st, nil, essaim.Errorf(essaim.CodeBadInput, "give --mode as clear or succinct", "there is no mode %q", m.name)
	}
	if err != nil {
		return nil, st, nil, essaim.Errorf(essaim.CodeBadInput, "ask for what the model knows, in a size that it draws", "%w", err)
	}
	st.Result = result.PixelsDigest
	return result.Data, st, b, nil
}

// ofReceipt is the statement of a receipt in a file, of a prompt.
func ofReceipt(name, prompt string) (proof.Statement, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return proof.Statement{}, essaim.Errorf(essaim.CodeNotFound, "name the file that `essaim imagine` wrote beside the picture", "read receipt: %w", err)
	}
	r, _, _, err := essaim.ReadReceiptFile(b)
	if err == nil && r.Model != essaim.DigestOf(pixel.Manifest()) {
		err = essaim.Errorf(essaim.CodeNotFound, "only the built-in picture model can be proven here", "the receipt is of model %s", r.Model.Short())
	}
	return proof.Of(r, prompt), err
}
