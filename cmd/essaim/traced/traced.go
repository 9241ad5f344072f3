// Package traced keeps the name of a task's trace beside the receipt file: whoever runs the network can be asked about a task by it, if
// its roles tell a collector of traces.
//
// Nobody has signed that name and no receipt holds it (ADR 59), so it has a file of its own, which every reader of receipts may
// ignore. The package must not take it for a proof of anything.
package traced

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
)

// note is what the file holds.
type note struct {
	Task    essaim.Digest `json:"task"`
	Receipt essaim.Digest `json:"receipt"` // SHA-256 of the receipt file
	Trace   string        `json:"trace"`   // 32 hex digits
}

// fileOf is the file beside a receipt file.
func fileOf(receipt string) string { return strings.TrimSuffix(receipt, ".receipt") + ".trace" }

// Save asks a coordinator for the trace of a picture's task, and writes it beside the picture's receipt file. Without a trace there is no
// file; a coordinator that does not answer is as good as one that traces nothing.
func Save(ctx context.Context, api client.Coordinator, p *client.Picture, receipt string) (trace string, err error) {
	rec, err := api.Task(ctx, p.Receipt.Task)
	if err != nil || !wellFormed(rec.Trace) {
		return "", nil
	}
	b, err := json.Marshal(note{p.Receipt.Task, essaim.DigestOf(p.ReceiptFile), rec.Trace})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(fileOf(receipt), append(b, '\n'), 0o644); err != nil {
		return "", essaim.Errorf(essaim.CodeBadInput, "choose another place with --out", "write trace: %w", err)
	}
	return rec.Trace, nil
}

// Of is the trace that is noted beside a receipt file; "": none.
//
// Errors: CodeBadInput if the file beside it is of another task, or is none of ours.
func Of(receipt string, task essaim.Digest) (string, error) {
	b, err := os.ReadFile(fileOf(receipt))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	var n note
	if err == nil {
		err = json.Unmarshal(b, &n)
	}
	if err != nil || n.Task != task || !wellFormed(n.Trace) {
		return "", essaim.Errorf(essaim.CodeBadInput, "move it away", "%s does not name the trace of this receipt's task", fileOf(receipt))
	}
	return n.Trace, nil
}

// wellFormed reports whether a coordinator's word is a trace's ID: it is printed.
func wellFormed(trace string) bool {
	return len(trace) == 32 && strings.Trim(trace, "0123456789abcdef") == ""
}
