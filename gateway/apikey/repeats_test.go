package apikey_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/once"
)

// sent is a task of a request with a name, in the model.
type sent struct {
	n                         uint64
	sending                   int
	named, delivered, charged bool
	kept, over                bool // kept: its result is; over: nobody is in doubt about it
}

// repeats is a model of requests that are sent again and again.
type repeats struct {
	path     string
	s        *apikey.Store
	key      string
	bodies   map[string]byte    // which body a name belongs to
	tasks    map[string][]*sent // by name
	tasksN   uint64
	sendings int
}

// expect is what a repeat must be answered.
func (m *repeats) expect(id string, body byte) (done []essaim.Digest, _ error) {
	doubted, lost := false, essaim.Digest{}
	for _, x := range m.tasks[id] {
		switch {
		case !x.named:
		case m.bodies[id] != body:
			return nil, once.ErrOther
		case !x.over:
			doubted = true
		case x.charged && x.kept:
			done = append(done, task(x.n))
		case x.charged:
			lost = task(x.n)
		}
	}
	switch {
	case doubted:
		return nil, essaim.Errorf(essaim.CodeUnavailable, "", "in doubt")
	case !lost.IsZero() && len(done) == 0:
		return nil, once.Gone(lost)
	}
	return done, nil
}

// TestAnyRequestIsChargedOnce sends requests with few names again and again, while the gateway is killed wherever it may be: what Repeat
// says is what the model says, and no two sendings of a request are both charged.
func TestAnyRequestIsChargedOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &repeats{path: filepath.Join(t.TempDir(), "keys.db"), bodies: map[string]byte{}, tasks: map[string][]*sent{}}
		m.s = openKeys(t, m.path)
		defer func() { _ = m.s.Close() }()
		m.key = create(t, m.s, 1_000_000).ID
		rt.Repeat(map[string]func(*rapid.T){
			"send": func(rt *rapid.T) { m.send(t, rt) }, "decide": func(*rapid.T) { m.decide(t) },
			"": func(rt *rapid.T) { m.once(t, rt) },
		})
	})
}

func (m *repeats) request(rt *rapid.T) (*once.Request, byte) {
	id, body := fmt.Sprint("k", rapid.IntRange(0, 2).Draw(rt, "name")), byte(rapid.IntRange(0, 4).Draw(rt, "body")/4)
	return &once.Request{Key: m.key, ID: id, Asked: essaim.DigestOf([]byte{body})}, body
}

// send sends a request, and has it done as far as the gateway lives.
func (m *repeats) send(t *testing.T, rt *rapid.T) {
	r, body := m.request(rt)
	done, want := m.expect(r.ID, body)
	free, err := m.s.Claim(r)
	if err != nil {
		rt.Fatal(err)
	}
	err = m.s.Repeat(t.Context(), r)
	if (err == nil) != (want == nil) || err != nil && essaim.CodeOf(err) != essaim.CodeOf(want) || errors.Is(err, once.ErrGone) != errors.Is(want, once.ErrGone) {
		rt.Fatalf("%s: %v, want %v", r.ID, err, want)
	}
	if err == nil && !slices.Equal(r.Done, done) {
		rt.Fatalf("%s: done %v, want %v", r.ID, r.Done, done)
	}
	if err != nil || len(r.Done) > 0 {
		free()
		return
	}
	n := rapid.IntRange(1, 3).Draw(rt, "parts")
	h, err := m.s.Reserve(once.With(t.Context(), r), m.key, 10, n)
	if err != nil {
		rt.Fatal(err)
	}
	m.sendings++
	m.bodies[r.ID] = body
	if m.work(t, rt, h, r.ID) {
		old := m.s
		m.s, m.path = killed(t, m.path, m.s)
		_ = old.Close()
		return
	}
	if err := h.Done(); err != nil {
		rt.Fatal(err)
	}
	free()
}

// work does the parts of a request, and reports whether the gateway was killed.
func (m *repeats) work(t *testing.T, rt *rapid.T, h *apikey.Hold, id string) (dies bool) {
	for _, p := range h.Parts {
		x := &sent{sending: m.sendings}
		upTo := rapid.SampledFrom([]string{"killed", "named", "killed named", "delivered", "killed delivered", "captured", "captured", "kept", "kept", "kept"}).Draw(rt, "up to")
		if upTo == "killed" {
			return true
		}
		m.tasksN++
		x.n, x.named = m.tasksN, true
		m.tasks[id] = append(m.tasks[id], x)
		if err := p.Name(task(x.n), 1); err != nil {
			rt.Fatal(err)
		}
		x.delivered = upTo != "named" && upTo != "killed named"
		if upTo == "killed named" || upTo == "killed delivered" {
			return true
		}
		if upTo != "captured" && upTo != "kept" {
			continue
		}
		if upTo == "kept" {
			p.Keep(task(x.n))
		}
		if err := p.Capture(task(x.n), 1, 3, nil)(); err != nil {
			rt.Fatal(err)
		}
		x.charged, x.over, x.kept = true, true, upTo == "kept"
	}
	return false
}

// decide is what the gateway does at its start and now and then.
func (m *repeats) decide(t *testing.T) {
	list, err := m.s.Undecided(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		for _, tasks := range m.tasks {
			for _, x := range tasks {
				switch {
				case task(x.n) != d.Task:
				case x.delivered:
					err = m.s.Paid(t.Context(), d, 3)
				default:
					err = m.s.Unpaid(d)
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	entries, err := m.s.Entries(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, tasks := range m.tasks {
		for _, x := range tasks {
			x.over = true
			x.charged = slices.ContainsFunc(entries, func(e apikey.Entry) bool { return e.Task != nil && *e.Task == task(x.n) && e.Kind == apikey.Capture })
		}
	}
}

// once looks whether any request was charged in two of its sendings.
func (m *repeats) once(t *testing.T, rt *rapid.T) {
	for id, tasks := range m.tasks {
		sending := 0
		for _, x := range tasks {
			if x.charged && sending != 0 && sending != x.sending {
				rt.Fatalf("%s was charged in sendings %d and %d", id, sending, x.sending)
			}
			if x.charged {
				sending = x.sending
			}
		}
	}
	if b := check(t, m.s); len(b.Faults) > 0 {
		rt.Fatalf("%+v", b.Faults)
	}
}

// TestRepeatsAreForgotten after a day, and not before.
func TestRepeatsAreForgotten(t *testing.T) {
	s := openKeys(t, filepath.Join(t.TempDir(), "keys.db"))
	r := &once.Request{Key: create(t, s, 100).ID, ID: "k"}
	h, err := s.Reserve(once.With(t.Context(), r), r.Key, 10, 1)
	if err != nil {
		t.Fatal(err)
	}
	p := h.Parts[0]
	if err := errors.Join(p.Name(task(1), 1), p.Capture(task(1), 1, 3, nil)(), h.Done()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		gone  bool
	}{{0, false}, {once.Kept - time.Minute, false}, {once.Kept + time.Minute, true}} {
		if err := s.ForgetRepeats(time.Now().Add(c.after)); err != nil {
			t.Fatal(err)
		}
		if err := s.Repeat(t.Context(), r); (err == nil) != c.gone {
			t.Errorf("after %s: %v", c.after, err)
		}
	}
}

// TestOneInstanceHasARequest at a time; when it was given up, another one takes it.
func TestOneInstanceHasARequest(t *testing.T) {
	if server == nil {
		return // TestOnPostgres has it run
	}
	path := filepath.Join(t.TempDir(), "keys.db")
	one, two, three := openKeys(t, path), openKeys(t, path), openKeys(t, path)
	r := &once.Request{Key: create(t, one, 100).ID, ID: "k"}
	free, err := one.Claim(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*apikey.Store{one, two} {
		_, err = s.Claim(r)
		wantCode(t, err, essaim.CodeUnavailable)
	}
	free()
	if _, err := two.Claim(r); err != nil {
		t.Fatal(err)
	}
	_, err = one.Claim(r)
	wantCode(t, err, essaim.CodeUnavailable)
	giveUp(t, path, two)
	if _, err := three.Claim(r); err != nil {
		t.Error(err)
	}
}
