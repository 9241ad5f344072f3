package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
)

// repeater sends requests with an API key and an Idempotency-Key to the gateway of a home, wherever that listens now.
type repeater struct{ home, secret, key string }

func newRepeater(t *testing.T, home string) repeater {
	t.Helper()
	b, err := exec.Command("essaim", "--home", home, "apikey", "create", "test", "--json").Output()
	var created struct {
		Secret string
		Key    struct{ ID string }
	}
	if err == nil {
		err = json.Unmarshal(b, &created)
	}
	if err != nil {
		t.Fatal(err)
	}
	return repeater{home, created.Secret, created.Key.ID}
}

func (r repeater) send(ctx context.Context, t *testing.T, method, path, body, id string, more ...string) (int, http.Header, []byte) {
	t.Helper()
	i, err := devnet.ReadInfo(r.home)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, method, i.Gateway+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.secret)
	for n, headers := 0, append([]string{"Idempotency-Key", id}, more...); n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b
}

// spent is what the key has paid when nothing is reserved any more.
func (r repeater) spent(ctx context.Context, t *testing.T) (spent essaim.Amount) {
	t.Helper()
	until(ctx, t, "nothing is reserved", func() (bool, error) {
		b, err := exec.CommandContext(ctx, "essaim", "--home", r.home, "apikey", "balance", r.key, "--json").Output()
		var have struct {
			Keys []struct{ Reserved, Spent essaim.Amount }
		}
		if err == nil {
			err = json.Unmarshal(b, &have)
		}
		if err != nil || len(have.Keys) != 1 {
			return false, err
		}
		spent = have.Keys[0].Spent
		return have.Keys[0].Reserved == 0, nil
	})
	return spent
}

// settled sends a request again until it is known what became of it: it was done, or done before and lost.
func (r repeater) settled(ctx context.Context, t *testing.T, path, body, id string) (status int, cost essaim.Amount) {
	t.Helper()
	until(ctx, t, "the repeat is answered", func() (bool, error) {
		var h http.Header
		var b []byte
		switch status, h, b = r.send(ctx, t, "POST", path, body, id); status {
		case http.StatusOK:
			return true, json.Unmarshal([]byte(h.Get("X-Essaim-Cost")), &cost)
		case http.StatusGone:
			return strings.Contains(string(b), "done and charged as task"), nil
		case http.StatusServiceUnavailable:
			return false, nil
		}
		return false, fmt.Errorf("%d %.200s", status, b)
	})
	return status, cost
}

// TestRepeatAfterKillNine kills the whole network with SIGKILL, between an answer and the same request, and in the middle of a
// task: whatever is sent again is charged once.
func TestRepeatAfterKillNine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	const path, body, large = "/v1/images/generations", `{"prompt":"a red apple","size":"64x64"}`, `{"prompt":"a red apple","n":4}`
	home := t.TempDir()
	p := startProcess(ctx, t, home)
	r := newRepeater(t, home)
	status, header, first := r.send(ctx, t, "POST", path, body, "k1")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, first)
	}
	p.kill()
	p = startProcess(ctx, t, home)
	status, again, second := r.send(ctx, t, "POST", path, body, "k1")
	if status != http.StatusOK || again.Get("X-Essaim-Replayed") != "true" || again.Get("X-Essaim-Receipt") != header.Get("X-Essaim-Receipt") || again.Get("X-Essaim-Cost") != header.Get("X-Essaim-Cost") {
		t.Fatalf("the repeat: %d %v %.200s", status, again, second)
	}
	var price essaim.Amount
	if err := json.Unmarshal([]byte(header.Get("X-Essaim-Cost")), &price); err != nil {
		t.Fatal(err)
	}
	if got := r.spent(ctx, t); got != price || price == 0 {
		t.Errorf("spent %d, the picture cost %d", got, price)
	}
	if status, _, b := r.send(ctx, t, "POST", path, large, "k1"); status != http.StatusConflict {
		t.Errorf("another request with the name: %d %s", status, b)
	}

	if status, _, b := r.send(ctx, t, "POST", path, large, "k2", "Prefer", "respond-async"); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, b)
	}
	if err := term.Until(ctx, func() (bool, error) {
		_, _, b := r.send(ctx, t, "GET", "/essaim/v1/jobs/k2", "", "k2")
		var job struct{ Tasks []essaim.Digest }
		err := json.Unmarshal(b, &job)
		return len(job.Tasks) > 0, err
	}); err != nil {
		t.Fatal(err)
	}
	p.kill()
	startProcess(ctx, t, home)
	// What the kill has left is in doubt for a while; then it was charged and is lost, or was not and is done.
	status, cost := r.settled(ctx, t, path, large, "k2")
	got := r.spent(ctx, t)
	if status == http.StatusOK && got != price+cost {
		t.Errorf("spent %d, the pictures cost %d and %d", got, price, cost)
	}
	if again, _ := r.settled(ctx, t, path, large, "k2"); again != status {
		t.Errorf("first %d, then %d", status, again)
	}
	if now := r.spent(ctx, t); now != got {
		t.Errorf("spent %d, and %d with another repeat", got, now)
	}
	if out, err := exec.CommandContext(ctx, "essaim", "--home", home, "apikey", "reconcile").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
