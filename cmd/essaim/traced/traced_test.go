package traced_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/traced"
)

// says is a coordinator that names a trace.
type says struct {
	client.Coordinator
	trace string
	err   error
}

func (s says) Task(context.Context, essaim.Digest) (essaim.TaskRecord, error) {
	return essaim.TaskRecord{Trace: s.trace}, s.err
}

// TestSaved: what a coordinator names is beside the receipt and found there, for its own task alone; anything else leaves no file.
func TestSaved(t *testing.T) {
	const trace = "0af7651916cd43dd8448eb211c80319c"
	p := &client.Picture{Receipt: essaim.Receipt{Task: essaim.DigestOf([]byte("task"))}, ReceiptFile: []byte("file")}
	for name, c := range map[string]struct {
		says says
		want string
	}{
		"traced":        {says{trace: trace}, trace},
		"not traced":    {says{}, ""},
		"gone":          {says{err: essaim.Errorf(essaim.CodeUnavailable, "", "gone")}, ""},
		"no trace's ID": {says{trace: "\x1b[2J" + trace[4:]}, ""},
		"too long":      {says{trace: trace + "0"}, ""},
	} {
		receipt := filepath.Join(t.TempDir(), "apple.png.receipt")
		got, err := traced.Save(t.Context(), c.says, p, receipt)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if read, err := traced.Of(receipt, p.Receipt.Task); err != nil || read != c.want {
			t.Errorf("%s: read %q, %v", name, read, err)
		}
		b, err := os.ReadFile(filepath.Join(filepath.Dir(receipt), "apple.png.trace"))
		if (err == nil) != (c.want != "") || err == nil && !strings.Contains(string(b), `"trace":"`+c.want+`"`) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
		if _, err := traced.Of(receipt, essaim.DigestOf([]byte("another task"))); (err != nil) != (c.want != "") {
			t.Errorf("%s: of another task: %v", name, err)
		}
	}
}
