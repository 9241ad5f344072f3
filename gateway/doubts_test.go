package gateway_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/gateway"
	"github.com/essaim/essaim/gateway/apikey"
)

// forgetful is a network whose coordinator has lost its tasks under way, too.
type forgetful struct{ *clienttest.Network }

func (forgetful) Task(context.Context, essaim.Digest) (essaim.TaskRecord, error) {
	return essaim.TaskRecord{}, essaim.Errorf(essaim.CodeNotFound, "", "no such task")
}

// crashed is what a kill of the gateway at this moment leaves: another one on the file as
// it is.
func (r *rig) crashed(t *testing.T, path string, c client.Coordinator) *rig {
	t.Helper()
	to := filepath.Join(t.TempDir(), "keys.db")
	for _, suffix := range []string{"", "-wal", "-ahead0", "-ahead1"} {
		b, err := os.ReadFile(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue // nothing was appended
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := apikey.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	again := &rig{Network: r.Network, keys: keys, blobs: r.blobs, secret: r.secret, keyID: r.keyID}
	again.serve(t, gateway.Config{Coordinator: c, Blobs: again.blobs, Keys: keys, Payer: payer{r.Network, 100 * clienttest.Price}})
	return again
}

// TestACrashLosesNothing kills the gateway in the middle of a picture: before its receipt
// is there, and after. The session goes on, and each receipt is in the books once.
func TestACrashLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	r := newRigAt(t, path)
	if resp, b := r.draw(t, `{"prompt":"x"}`); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	var before, after *rig
	r.OnProgress = func(context.Context, func(string)) { before = r.crashed(t, path, forgetful{r.Network}) }
	r.OnDelivery = func(*essaim.Delivery) { after = r.crashed(t, path, r.Network) }
	if resp, b := r.draw(t, `{"prompt":"x"}`); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	r.OnProgress, r.OnDelivery = nil, nil
	for name, c := range map[string]struct {
		crashed *rig
		spent   essaim.Amount
	}{
		"before the receipt": {before, clienttest.Price},
		"after the receipt":  {after, 2 * clienttest.Price},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := c.crashed.keys.Key(t.Context(), r.keyID)
			if err != nil || k.Reserved != clienttest.Price || k.Spent != clienttest.Price {
				t.Fatalf("%+v, %v", k, err)
			}
			c.crashed.gateway.TakeUp(t.Context())
			k, err = c.crashed.keys.Key(t.Context(), r.keyID)
			if err != nil || k.Reserved != 0 || k.Spent != c.spent {
				t.Errorf("%+v, %v", k, err)
			}
			c.crashed.books(t)
		})
	}
	// The session of before goes on, and is settled in the end.
	if resp, b := after.draw(t, `{"prompt":"x"}`); resp.StatusCode != 200 || len(r.Sessions()) != 1 {
		t.Errorf("%d %s, %d sessions", resp.StatusCode, b, len(r.Sessions()))
	}
	after.runOnce(t)
	if open, settled := states(r.Network); open != 0 || settled != 1 {
		t.Errorf("%d open, %d settled", open, settled)
	}
	if left, err := after.keys.OpenSessions(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("%d sessions are still kept, %v", len(left), err)
	}
}
