package proving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/builtin"
	"github.com/essaim/essaim/proof/succinct"
)

// Line says to people what the proof of a picture came to.
func Line(p *client.Picture) string {
	if p.Proof == nil {
		return "none was asked for, or none can be checked here"
	}
	return checked(len(p.Proof), p.Checked)
}

func checked(bytes int, took time.Duration) string {
	return fmt.Sprintf("%d KB, checked in %d ms without the weights", bytes/1000, max(1, took.Milliseconds()))
}

// Report is Line for programs; nil: no proof.
func Report(p *client.Picture) any {
	if p.Proof == nil {
		return nil
	}
	return map[string]any{"cid": essaim.CIDOf(p.Receipt.Proof), "bytes": len(p.Proof), "checked_us": p.Checked.Microseconds()}
}

// Evidence writes what convicts the miner whose proof did not hold beside the picture that was refused, and says so in
// the error. Other errors stay as they are.
func Evidence(err error, picture string) error {
	var bad *client.BadProof
	if !errors.As(err, &bad) {
		return err
	}
	name := picture + ".evidence"
	if e := os.WriteFile(name, bad.Evidence.Encode(), 0o600); e != nil {
		return errors.Join(err, e)
	}
	return essaim.Errorf(essaim.CodeRefused, "once the session is settled, `essaim proof convict "+name+"` shows it to the ledger", "the picture was refused: %w", err)
}

// CheckReceipt checks the proof that a receipt names, without the weights, and says what that came to. The proof is in a
// file or, with a name of "", beside the receipt's; what is not there is asked of a gateway, if one is named. A proof in succinct
// mode that somebody has made of the same picture is as good as the one that the receipt names.
//
// Errors: CodeNotFound for a proof that is nowhere; CodeRefused for one that does not hold.
func CheckReceipt(ctx context.Context, r essaim.Receipt, receipt, prompt, name, gateway string) (string, error) {
	if r.Proof.IsZero() && name == "" {
		return "", essaim.Errorf(essaim.CodeRefused, "it was drawn with --verify none, or by a model whose runs are not proven", "check proof: the receipt names none")
	}
	if name == "" {
		name = strings.TrimSuffix(receipt, ".receipt") + ".proof"
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) && gateway != "" {
		b, err = fetch(ctx, gateway, r.Proof)
	}
	if err != nil {
		return "", essaim.Errorf(essaim.CodeNotFound, "name the file with --proof=FILE, or the gateway that has it with --gateway", "read proof: %w", err)
	}
	if proof.ModeOf(b) == succinct.Mode { // made later, by anybody: what it proves counts, not its name
		return checkSuccinct(ctx, r, prompt, b)
	}
	if d := essaim.DigestOf(b); d != r.Proof {
		return "", essaim.Errorf(essaim.CodeRefused, "the file was changed, or belongs to another receipt", "check proof: it is %s, the receipt names %s", essaim.CIDOf(d), essaim.CIDOf(r.Proof))
	}
	began := time.Now()
	if err := (builtin.Proofs{}).Check(ctx, r, prompt, b); err != nil {
		return "", fmt.Errorf("check proof: %w", err)
	}
	return checked(len(b), time.Since(began)), nil
}

// checkSuccinct checks a proof in succinct mode of what a receipt says.
func checkSuccinct(ctx context.Context, r essaim.Receipt, prompt string, b []byte) (string, error) {
	c, err := builtin.Proofs{}.Checker(r.Model)
	if err != nil {
		return "", err
	}
	began := time.Now()
	if err := succinct.Check(ctx, c, b, proof.Of(r, prompt)); err != nil {
		return "", essaim.Errorf(essaim.CodeRefused, "the proof is of another picture or prompt, or was changed", "check proof: %w", err)
	}
	return checked(len(b), time.Since(began)) + " or any activation", nil
}

// fetch asks a gateway for a blob.
func fetch(ctx context.Context, gateway string, d essaim.Digest) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(gateway, "/")+"/ipfs/"+essaim.CIDOf(d), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s has no proof %s: %s", gateway, essaim.CIDOf(d), resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, essaim.MaxProof+1))
}
