package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/once"
	"github.com/essaim/essaim/internal/durable/postgres"
)

// TestKeysOfInstances runs three instances behind one name for users of API keys. While they draw through it one instance is killed. Every request is answered
// or refused with a reason, a job is found through the name, and in the end what the keys have spent is what the receipts and
// the ledger say, to the last uaim, and nothing is in doubt.
func TestKeysOfInstances(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	f := newFleet(ctx, t, 3)
	supply := supplyOf(ctx, t, f.process)
	users := make([]*keyUser, 6)
	for i := range users {
		users[i] = f.user(t, fmt.Sprintf("user %d", i))
	}
	drawn := make(chan struct{}, 1000)
	var group sync.WaitGroup
	const each = 8
	patient := f.user(t, "batch")
	batch := patient.begin(ctx, t, 36)
	victim := f.ownerOf(t, patient) // who has done something of it by then
	for _, u := range users {
		group.Go(func() { u.draw(ctx, t, each, drawn) })
	}
	for range 2 * len(users) { // each key is some instance's by then
		select {
		case <-drawn:
		case <-ctx.Done():
			t.Fatal("nothing is drawn")
		}
	}
	left := f.payingOf(t, victim)
	f.runs[victim].kill()
	f.name.drop(victim)
	f.runs = slices.Delete(f.runs, victim, victim+1)
	group.Wait()
	if users[0].job(ctx, t); t.Failed() {
		t.Fatalf("the instances that are left say:\n%s\n\n%s", f.runs[0].log, f.runs[1].log)
	}
	until(ctx, t, "another instance has done the batch", func() (bool, error) { return patient.done(ctx, t, batch) })
	patient.follow(ctx, t)
	if t.Failed() {
		t.Fatalf("the instances that are left say:\n%s\n\n%s", f.runs[0].log, f.runs[1].log)
	}
	spent := f.spent(ctx, t, users, patient)
	f.reconciled(t, spent)
	until(ctx, t, "another instance has settled the session that the killed one paid from", func() (bool, error) {
		s, err := f.chain.Session(ctx, left)
		return err == nil && s.State == essaim.SessionSettled, err
	})
	for _, p := range f.runs { // settles what it has open
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("an instance that was stopped: %v\n%s", err, p.log)
		}
	}
	passed := 0
	for _, p := range f.runs {
		passed += strings.Count(p.log.String(), `"passed on"`)
	}
	if passed == 0 {
		t.Errorf("no instance has passed a request on:\n%s", f.runs[0].log)
	}
	for _, s := range f.reconciled(t, spent) {
		if s.Proof != "chain" || s.State != essaim.SessionSettled {
			t.Errorf("session %s is %s", s.Session, s.State)
		}
	}
	if got := supplyOf(ctx, t, f.process); got != supply {
		t.Errorf("the supply was %s and is %s", supply, got)
	}
}

// spent is what all keys have spent, once nothing is reserved any more: what users were told that it has cost them.
func (f *fleet) spent(ctx context.Context, t *testing.T, users []*keyUser, patient *keyUser) essaim.Amount {
	t.Helper()
	var keys []apikey.Key
	until(ctx, t, "nothing is reserved any more", func() (bool, error) {
		var reserved essaim.Amount
		keys = f.keys(t)
		for _, k := range keys {
			reserved += k.Reserved
		}
		return reserved == 0, nil
	})
	var spent, answered essaim.Amount
	for _, k := range keys {
		spent += k.Spent
		if k.Name == "batch" && k.Spent < patient.cost {
			t.Errorf("a batch for %s, and its key has spent %s", patient.cost, k.Spent)
		}
		if k.Name == "batch" {
			answered += k.Spent // lines that were under way were done twice
		}
	}
	refused, lost := 0, 0
	for _, u := range users {
		lost += u.lost
		answered += u.cost
		refused += u.refused
	}
	t.Logf("answered for %s, spent %s, refused %d requests, %d pictures died with their instance", answered, spent, refused, lost)
	if answered > spent || lost == 0 && answered != spent {
		t.Errorf("users were told %s, their keys have spent %s", answered, spent)
	}
	return spent
}

// keyUser is somebody with an API key.
type keyUser struct {
	url, secret string
	cost        essaim.Amount // of what was answered
	refused     int
	lost        int // pictures that are paid and were on no disk yet
}

// user makes a key beside the instances that run.
func (f *fleet) user(t *testing.T, name string) *keyUser {
	t.Helper()
	var made struct{ Secret string }
	if err := json.Unmarshal(said(t, f.home, "--json", "apikey", "create", name, "--limit", "0.5", "--db", f.db), &made); err != nil {
		t.Fatal(err)
	}
	return &keyUser{url: f.name.server.URL, secret: made.Secret}
}

func (f *fleet) keys(t *testing.T) []apikey.Key {
	t.Helper()
	var list struct{ Keys []apikey.Key }
	if err := json.Unmarshal(said(t, f.home, "--json", "apikey", "list", "--db", f.db), &list); err != nil {
		t.Fatal(err)
	}
	return list.Keys
}

// reconciled has the books compared with receipts and ledger. What keys and house have paid is what was proven.
func (f *fleet) reconciled(t *testing.T, spent essaim.Amount) []apikey.Row {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "essaim", "--home", f.home, "--json", "apikey", "reconcile", "--db", f.db).Output()
	var got struct {
		OK       bool
		Faults   []apikey.Fault
		Sessions []apikey.Row
	}
	if err != nil || json.Unmarshal(out, &got) != nil || !got.OK {
		t.Fatalf("the books do not come to the ledger: %v\n%s", err, out)
	}
	var captured, covered, proven essaim.Amount
	for _, s := range got.Sessions {
		if s.Doubts > 0 {
			t.Errorf("session %s: %d tasks in doubt", s.Session, s.Doubts)
		}
		captured, covered, proven = captured+s.Captured, covered+s.Covered, proven+s.Proven
	}
	if captured != spent || captured+covered != proven {
		t.Errorf("keys have spent %s; captured %s, covered %s, proven %s", spent, captured, covered, proven)
	}
	return got.Sessions
}

// ask sends a request with the key. Whatever comes back says what it is.
func (u *keyUser) ask(ctx context.Context, t *testing.T, method, path string, body any, header ...string) (*http.Response, []byte) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return u.send(ctx, t, method, path, bytes.NewReader(b), header...)
}

func (u *keyUser) send(ctx context.Context, t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, u.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if u.secret != "" { // else it is a guest
		req.Header.Set("Authorization", "Bearer "+u.secret)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, []byte(err.Error()) // the balancer was cut off
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Appendf(nil, "%s, then %v", resp.Status, err)
	}
	return resp, b
}

// draw has pictures drawn one after the other, and asks again when it is refused for now.
func (u *keyUser) draw(ctx context.Context, t *testing.T, n int, drawn chan<- struct{}) {
	for k := range n {
		err := term.Until(ctx, func() (bool, error) { return u.one(ctx, t, k) })
		if err != nil {
			t.Error(err)
			return
		}
		drawn <- struct{}{}
	}
}

// one asks for a picture once. false: it was refused for now.
func (u *keyUser) one(ctx context.Context, t *testing.T, seed int) (bool, error) {
	resp, b := u.ask(ctx, t, http.MethodPost, "/v1/images/generations", map[string]any{"prompt": "a red apple", "size": "64x64", "seed": seed}, "Idempotency-Key", fmt.Sprint(seed))
	switch {
	case resp == nil || resp.StatusCode == http.StatusBadGateway: // the balancer's: the instance that it had asked is gone
	case resp.StatusCode == http.StatusServiceUnavailable:
		var why struct{ Error struct{ Message string } }
		if json.Unmarshal(b, &why) != nil || why.Error.Message == "" || resp.Header.Get("Retry-After") == "" {
			return false, fmt.Errorf("refused without a reason: %s", b)
		}
	case resp.StatusCode == http.StatusGone && strings.Contains(string(b), once.ErrGone.Error()):
		u.lost++
		return true, nil
	case resp.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s: %s", resp.Status, b)
	default:
		cost, err := strconv.ParseUint(resp.Header.Get("X-Essaim-Cost"), 10, 64)
		u.cost += essaim.Amount(cost)
		return true, err
	}
	u.refused++
	return false, nil
}

// job asks for a picture, does not wait for it, and takes it up later: each time the balancer asks another instance.
func (u *keyUser) job(ctx context.Context, t *testing.T) {
	t.Helper()
	resp, b := u.ask(ctx, t, http.MethodPost, "/v1/images/generations", map[string]any{"prompt": "a green apple", "size": "64x64"}, "Prefer", "respond-async")
	if resp == nil || resp.StatusCode != http.StatusAccepted {
		t.Errorf("%v: %s", resp, b)
		return
	}
	at := resp.Header.Get("Location")
	for range 6 {
		if resp, b = u.ask(ctx, t, http.MethodGet, at+"/answer", nil); resp == nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%v: %s", resp, b)
			return
		}
	}
	cost, err := strconv.ParseUint(resp.Header.Get("X-Essaim-Cost"), 10, 64)
	if err != nil {
		t.Error(err)
	}
	u.cost += essaim.Amount(cost)
}

// follow asks for a picture as programs of the AI Horde do, which follow it by its ID alone.
func (u *keyUser) follow(ctx context.Context, t *testing.T) {
	t.Helper()
	resp, b := u.ask(ctx, t, http.MethodPost, "/api/v2/generate/async", map[string]any{"prompt": "a red apple", "params": map[string]any{"width": 64, "height": 64}})
	var made struct{ ID string }
	if resp == nil || resp.StatusCode != http.StatusAccepted || json.Unmarshal(b, &made) != nil {
		t.Fatalf("%v: %s", resp, b)
	}
	anybody, checks := &keyUser{url: u.url}, 0
	until(ctx, t, "the picture is drawn", func() (bool, error) {
		resp, b := anybody.ask(ctx, t, http.MethodGet, "/api/v2/generate/check/"+made.ID, nil)
		var is struct{ Done bool }
		if resp == nil || resp.StatusCode != http.StatusOK || json.Unmarshal(b, &is) != nil {
			return false, fmt.Errorf("%v: %s", resp, b)
		}
		checks++
		return is.Done && checks > 3, nil // each instance was asked
	})
}

// begin has a batch of so many pictures done.
func (u *keyUser) begin(ctx context.Context, t *testing.T, n int) (id string) {
	t.Helper()
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	err := m.WriteField("purpose", "batch")
	file, later := m.CreateFormFile("file", "batch.jsonl")
	for i := range n {
		fmt.Fprintf(file, `{"custom_id":"%d","method":"POST","url":"/v1/images/generations","body":{"prompt":"a red apple","size":"64x64","seed":%d}}`+"\n", i, i)
	}
	if err = errors.Join(err, later, m.Close()); err != nil {
		t.Fatal(err)
	}
	var made struct{ ID string }
	resp, b := u.send(ctx, t, http.MethodPost, "/v1/files", &form, "Content-Type", m.FormDataContentType())
	if resp == nil || resp.StatusCode != http.StatusOK || json.Unmarshal(b, &made) != nil {
		t.Fatalf("%v: %s", resp, b)
	}
	resp, b = u.ask(ctx, t, http.MethodPost, "/v1/batches", map[string]any{"input_file_id": made.ID, "endpoint": "/v1/images/generations", "completion_window": "24h"})
	if resp == nil || resp.StatusCode != http.StatusOK || json.Unmarshal(b, &made) != nil {
		t.Fatalf("%v: %s", resp, b)
	}
	return made.ID
}

// done reports whether a batch was done, all of it, and what it has cost.
func (u *keyUser) done(ctx context.Context, t *testing.T, id string) (bool, error) {
	resp, b := u.ask(ctx, t, http.MethodGet, "/v1/batches/"+id, nil)
	if resp == nil || resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusBadGateway {
		return false, nil
	}
	var x struct {
		Status string
		Output string                                 `json:"output_file_id"`
		Counts struct{ Total, Completed, Failed int } `json:"request_counts"`
		Essaim struct{ Cost essaim.Amount }
	}
	if err := json.Unmarshal(b, &x); err != nil || resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s: %s", resp.Status, b)
	}
	if x.Status == "in_progress" {
		return false, nil
	}
	if x.Status != "completed" || x.Counts.Completed != x.Counts.Total {
		return false, fmt.Errorf("the batch has ended as %s", b)
	}
	u.cost = x.Essaim.Cost
	resp, b = u.ask(ctx, t, http.MethodGet, "/v1/files/"+x.Output+"/content", nil)
	if resp == nil || bytes.Count(b, []byte("\n")) != x.Counts.Total {
		return false, fmt.Errorf("the answers of %d requests: %s", x.Counts.Total, b)
	}
	return true, nil
}

// ownerOf is which instance has a user's key.
func (f *fleet) ownerOf(t *testing.T, u *keyUser) int {
	t.Helper()
	var url string
	f.row(t, &url, `SELECT i.url FROM keyleases AS l JOIN instances AS i ON i.id = l.instance WHERE l.key = ?`, strings.Split(u.secret, "-")[2])
	return slices.Index(f.urls, url)
}

// payingOf is the session that an instance pays from.
func (f *fleet) payingOf(t *testing.T, i int) (id essaim.SessionID) {
	t.Helper()
	f.row(t, &id, `SELECT s.id FROM books.sessions AS s JOIN instances AS i ON i.id = s.owner WHERE i.url = ? AND s.saved IS NOT NULL`, f.urls[i])
	return id
}

// row reads one value from the instances' database.
func (f *fleet) row(t *testing.T, to any, query, arg string) {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: f.db, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(t.Context(), query, arg).Scan(to); err != nil {
		t.Fatal(err)
	}
}
