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
	answers := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 4 * perHour {
		all.Go(func() {
			guest := &keyUser{url: f.urls[i%2]}
			resp, b := guest.ask(ctx, t, http.MethodPost, "/v1/images/generations", map[string]any{"prompt": "a red apple", "size": "64x64", "seed": i},
				"X-Essaim-Guest", fmt.Sprintf("10.0.0.%d/32 00", i)) // which it is not
			mu.Lock()
			defer mu.Unlock()
			if resp == nil {
				t.Errorf("no answer: %s", b)
				return
			}
			answers[resp.StatusCode]++
			if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusTooManyRequests {
				t.Errorf("%s: %s", resp.Status, b)
			}
		})
	}
	all.Wait()
	if answers[http.StatusOK] != perHour {
		t.Errorf("a guest was answered %v", answers)
	}
	account := userOf(t, f.home)
	given := map[int]int{}
	for i := range 6 {
		all.Go(func() {
			asker := &keyUser{url: f.urls[i%2]}
			resp, b := asker.ask(ctx, t, http.MethodPost, client.PathFaucet, map[string]any{"address": account.Address().String()})
			mu.Lock()
			defer mu.Unlock()
			if resp == nil {
				t.Errorf("no answer: %s", b)
				return
			}
			given[resp.StatusCode]++
			if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusConflict {
				t.Errorf("%s: %s", resp.Status, b)
			}
		})
	}
	all.Wait()
	if given[http.StatusOK] != 1 {
		t.Errorf("the faucet has answered %v", given)
	}
	until(ctx, t, "nothing is reserved any more", func() (bool, error) { return f.keys(t)[0].Reserved == 0, nil })
	f.reconciled(t, f.keys(t)[0].Spent)
}
