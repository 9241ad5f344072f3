package gateway_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/gateway"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
)

// lanes is a coordinator that notes where tasks wait, and what they go on with.
type lanes struct {
	*clienttest.Network

	mu   sync.Mutex
	seen []essaim.Submission
}

func (l *lanes) Submit(ctx context.Context, s essaim.Submission, progress func(essaim.Progress)) (essaim.Delivery, error) {
	l.mu.Lock()
	l.seen = append(l.seen, s)
	l.mu.Unlock()
	return l.Network.Submit(ctx, s, progress)
}

// lanesPayer opens sessions whose tasks are noted.
type lanesPayer struct{ *lanes }

func (p lanesPayer) OpenSession(ctx context.Context) (*client.Session, error) {
	cfg := p.Config()
	cfg.Coordinator = p.lanes
	return client.Open(ctx, cfg, 100*clienttest.Price)
}

func (p lanesPayer) RestoreSession(ctx context.Context, saved []byte) (*client.Session, error) {
	return payer{n: p.Network}.RestoreSession(ctx, saved)
}

// last is what was handed in last.
func (l *lanes) last() essaim.Submission {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[len(l.seen)-1]
}

// laned is a rig whose tasks' lanes are noted.
func laned(t *testing.T, change ...func(*gateway.Config)) (*rig, *lanes) {
	l := &lanes{}
	r := newRig(t, append(change, func(c *gateway.Config) {
		l.Network = c.Coordinator.(*clienttest.Network)
		c.Coordinator, c.Payer = l, lanesPayer{l}
	})...)
	return r, l
}

// TestGuests: without a key nobody is served, unless the operator says who pays. Then an address gets so many
// requests an hour, behind everybody else; all of them together spend what that key has and no more; and what is kept
// under a key is not for guests.
func TestGuests(t *testing.T) {
	body := `{"prompt":"a quince"}`
	strict := newRig(t)
	if resp, b := strict.send(t, "POST", pathImages, body); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("by default: %d %s", resp.StatusCode, b)
	}
	var key apikey.Key
	r, seen := laned(t, func(c *gateway.Config) {
		var err error
		if _, key, err = c.Keys.Create(t.Context(), "guests", 3*clienttest.Price); err != nil {
			t.Fatal(err)
		}
		if c.Guests, err = desk.NewGuests(key.ID, 4); err != nil {
			t.Fatal(err)
		}
	})
	began := time.Now()
	for range 3 {
		if resp, b := r.send(t, "POST", pathImages, body); resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", resp.StatusCode, b)
		}
	}
	if s := seen.last(); !s.Last || s.For != key.ID+" 127.0.0.1/32" {
		t.Errorf("a guest waits for %q, last: %v", s.For, s.Last)
	}
	if resp, b := r.send(t, "POST", pathImages, body); resp.StatusCode != http.StatusPaymentRequired {
		t.Errorf("beyond what the key has: %d %s", resp.StatusCode, b)
	}
	resp, b := r.send(t, "POST", pathImages, body)
	if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || resp.StatusCode != http.StatusTooManyRequests || after > 3600 || after < 3600-int(time.Since(began).Seconds()) {
		t.Errorf("beyond an hour's: %d %s, Retry-After %d", resp.StatusCode, b, after)
	}
	if resp, b := r.send(t, "POST", pathImages, body, r.auth()...); resp.StatusCode != http.StatusOK {
		t.Errorf("with a key: %d %s", resp.StatusCode, b)
	}
	if s := seen.last(); s.Last || s.For != r.keyID {
		t.Errorf("a key's task waits for %q, last: %v", s.For, s.Last)
	}
	if resp, b := r.send(t, "POST", pathImages, body, "Authorization", "Bearer sk-essaim-wrong"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a wrong key: %d %s", resp.StatusCode, b)
	}
	for _, kept := range [][]string{{"POST", pathImages, "Idempotency-Key", "mine"}, {"POST", pathImages, "Prefer", "respond-async"}, {"GET", "/sdapi/v1/progress"}} {
		if resp, b := r.send(t, kept[0], kept[1], body, kept[2:]...); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v without a key: %d %s", kept, resp.StatusCode, b)
		}
	}
	if k, err := r.keys.Key(t.Context(), key.ID); err != nil || k.Spent != 3*clienttest.Price || k.Balance != 0 {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := desk.NewGuests("", 4); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("no key: %v", err)
	}
	r.books(t)
}

// TestConversationsAreNamed: what goes on with the same words has the same name, for the same key only, and the name
// says nothing of the words.
func TestConversationsAreNamed(t *testing.T) {
	r, seen := laned(t)
	other, _, err := r.keys.Create(t.Context(), "other", 10*clienttest.Price)
	if err != nil {
		t.Fatal(err)
	}
	chat := func(secret string, messages ...string) string {
		t.Helper()
		var list []string
		for i, m := range messages {
			list = append(list, `{"role":"`+[]string{"user", "assistant"}[i%2]+`","content":"`+m+`"}`)
		}
		resp, b := r.send(t, "POST", pathChat, `{"messages":[`+strings.Join(list, ",")+`],"max_tokens":8}`, "Authorization", "Bearer "+secret)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", resp.StatusCode, b)
		}
		return seen.last().Conversation
	}
	first := chat(r.secret, "quince")
	if len(first) < 16 || len(first) > 64 || strings.Contains(first, "quince") {
		t.Errorf("name %q", first)
	}
	if again := chat(r.secret, "quince", "a fruit", "and pear"); again != first {
		t.Errorf("it goes on as %q, began as %q", again, first)
	}
	if chat(r.secret, "medlar") == first || chat(other, "quince") == first {
		t.Error("another conversation has the same name")
	}
	resp, b := r.draw(t, `{"prompt":"a quince"}`)
	if resp.StatusCode != http.StatusOK || seen.last().Conversation != "" {
		t.Errorf("a picture is of conversation %q: %s", seen.last().Conversation, b)
	}
}

var _ client.Coordinator = (*lanes)(nil)
