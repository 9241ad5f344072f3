package gateway_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
)

type repeated struct {
	Data []struct {
		B64JSON []byte `json:"b64_json"`
		Essaim  struct {
			Task    essaim.Digest
			Receipt string
			Seed    uint64
		}
	}
}

// spent is what the key has paid, with nothing reserved.
func (r *rig) spent(t testing.TB) essaim.Amount {
	t.Helper()
	k, err := r.keys.Key(t.Context(), r.keyID)
	if err != nil || k.Reserved != 0 {
		t.Errorf("%+v, %v", k, err)
	}
	return k.Spent
}

// TestARepeatAfterACrashIsNotPaidAgain kills the gateway behind answers and sends their requests again: pictures come as they
// were, of a text it is said that it is not kept, and another body does not get the name.
func TestARepeatAfterACrashIsNotPaidAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	r := newRigAt(t, path)
	const body, chat = `{"prompt":"a red apple","n":2}`, `{"messages":[{"role":"user","content":"one two"}]}`
	_, b := r.send(t, "POST", pathImages, body, r.auth("Idempotency-Key", "k1")...)
	first := decode[repeated](t, b)
	resp, b := r.send(t, "POST", pathChat, chat, r.auth("Idempotency-Key", "k2")...)
	if resp.StatusCode != 200 || len(first.Data) != 2 {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	paid, handed := r.spent(t), r.Submits()

	again := r.crashed(t, path, r.Network)
	again.gateway.TakeUp(t.Context())
	for range 2 {
		resp, b := again.send(t, "POST", pathImages, body, r.auth("Idempotency-Key", "k1")...)
		got := decode[repeated](t, b)
		if resp.StatusCode != 200 || resp.Header.Get("X-Essaim-Replayed") != "true" || len(got.Data) != 2 {
			t.Fatalf("%d %.200s", resp.StatusCode, b)
		}
		for i := range got.Data {
			if g, w := got.Data[i], first.Data[i]; string(g.B64JSON) != string(w.B64JSON) || g.Essaim != w.Essaim {
				t.Errorf("picture %d: %v instead of %v", i, g.Essaim, w.Essaim)
			}
		}
		if resp, b := again.send(t, "POST", pathChat, chat, r.auth("Idempotency-Key", "k2")...); resp.StatusCode != 410 || !strings.Contains(string(b), "done and charged as task ") {
			t.Errorf("a text: %d %s", resp.StatusCode, b)
		}
		for _, id := range []string{"k1", "k2"} {
			if resp, b := again.send(t, "POST", pathImages, `{"prompt":"a green apple"}`, r.auth("Idempotency-Key", id)...); resp.StatusCode != 409 {
				t.Errorf("another request with the name: %d %s", resp.StatusCode, b)
			}
		}
	}
	if got := again.spent(t); got != paid || r.Submits() != handed {
		t.Errorf("spent %d and handed in %d, before %d and %d", got, r.Submits(), paid, handed)
	}
	again.books(t)
	again.runOnce(t)
}

// TestARepeatOfWhatACrashHasCut kills the gateway while a picture is drawn. Without a receipt nothing was charged, and the repeat is
// done; with one the picture is lost, and not paid again.
func TestARepeatOfWhatACrashHasCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	r := newRigAt(t, path)
	var before, after *rig
	r.OnProgress = func(context.Context, func(string)) { before = r.crashed(t, path, forgetful{r.Network}) }
	r.OnDelivery = func(*essaim.Delivery) { after = r.crashed(t, path, r.Network) }
	send := func(at *rig) (status int, body string) {
		resp, b := at.send(t, "POST", pathImages, `{"prompt":"x"}`, r.auth("Idempotency-Key", "k1")...)
		return resp.StatusCode, string(b)
	}
	if status, b := send(r); status != 200 {
		t.Fatalf("%d %s", status, b)
	}
	r.OnProgress, r.OnDelivery = nil, nil
	for range 2 {
		if status, b := send(before); status != 200 {
			t.Errorf("nothing was charged: %d %.200s", status, b)
		}
		if status, b := send(after); status != 410 || !strings.Contains(b, "done and charged as task ") {
			t.Errorf("what was charged: %d %.200s", status, b)
		}
	}
	for name, c := range map[string]*rig{"before the receipt": before, "after the receipt": after} {
		if got := c.spent(t); got != clienttest.Price {
			t.Errorf("%s: spent %d", name, got)
		}
		c.books(t)
	}
	before.runOnce(t)
	after.runOnce(t)
	r.runOnce(t)
}
