package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/node"
)

// TestGuestsOfInstances asks two instances in turns, and at the same time, without a key and for coins of the faucet: together they serve a guest as often, and give an
// account as much, as one does.
func TestGuestsOfInstances(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	const perHour = 5
	var key apikey.Key
	f := newFleet(ctx, t, 2, func(f *fleet, c *node.Coordinator) {
		if key.ID == "" {
			if err := json.Unmarshal(said(t, f.home, "--json", "apikey", "create", "guests", "--limit", "0.5", "--db", f.db), &struct{ Key *apikey.Key }{&key}); err != nil {
				t.Fatal(err)
			}
		}
		c.Guests = &node.Guests{Key: key.ID, PerHour: perHour}
	})
	answers := together(t, 4*perHour, http.StatusTooManyRequests, func(i int) (*http.Response, []byte) {
		guest := &keyUser{url: f.urls[i%2]}
		return guest.ask(ctx, t, http.MethodPost, "/v1/images/generations", map[string]any{"prompt": "a red apple", "size": "64x64", "seed": i},
			"X-Essaim-Guest", fmt.Sprintf("10.0.0.%d/32 00", i)) // which it is not
	})
	if answers[http.StatusOK] != perHour {
		t.Errorf("a guest was answered %v", answers)
	}
	account := userOf(t, f.home)
	given := together(t, 6, http.StatusConflict, func(i int) (*http.Response, []byte) {
		asker := &keyUser{url: f.urls[i%2]}
		return asker.ask(ctx, t, http.MethodPost, client.PathFaucet, map[string]any{"address": account.Address().String()})
	})
	if given[http.StatusOK] != 1 {
		t.Errorf("the faucet has answered %v", given)
	}
	until(ctx, t, "nothing is reserved any more", func() (bool, error) { return f.keys(t)[0].Reserved == 0, nil })
	f.reconciled(t, f.keys(t)[0].Spent)
}

// together counts the statuses of n requests at a time, each of which is to be answered with 200 or refused with one status.
func together(t *testing.T, n, refused int, ask func(i int) (*http.Response, []byte)) map[int]int {
	t.Helper()
	statuses := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			resp, b := ask(i)
			mu.Lock()
			defer mu.Unlock()
			if resp == nil {
				t.Errorf("no answer: %s", b)
				return
			}
			statuses[resp.StatusCode]++
			if resp.StatusCode != http.StatusOK && resp.StatusCode != refused {
				t.Errorf("%s: %s", resp.Status, b)
			}
		})
	}
	all.Wait()
	return statuses
}
