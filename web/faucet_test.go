package web_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/durabletest"
	"github.com/essaim/essaim/internal/durable/postgres"
	"github.com/essaim/essaim/web"
)

// purse counts what it gives.
type purse struct {
	mu    sync.Mutex
	given map[essaim.Address]essaim.Amount
	fails error
}

func (p *purse) give(_ context.Context, to essaim.Address, amount essaim.Amount) (essaim.Tx, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails != nil {
		return essaim.Tx{}, p.fails
	}
	p.given[to] += amount
	return essaim.Tx{Hash: "AB"}, nil
}

func open(t *testing.T, p *purse, file string) *web.Faucet {
	t.Helper()
	f, err := web.OpenFaucet(web.FaucetConfig{Give: p.give, Amount: 10, Pause: 24 * time.Hour, Most: 3, File: file})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFaucet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faucet")
	synctest.Test(t, func(t *testing.T) {
		p := &purse{given: map[essaim.Address]essaim.Amount{}}
		f := open(t, p, file)
		give := func(to byte, host string, code essaim.Code) {
			t.Helper()
			_, err := f.Give(t.Context(), essaim.Address{to}, host)
			if (err == nil) != (code == "") || err != nil && essaim.CodeOf(err) != code {
				t.Fatalf("%d from %s: %v, want %q", to, host, err, code)
			}
		}
		give(1, "a", "")
		give(1, "b", essaim.CodeConflict) // the account has had its share
		p.fails = errors.New("no coins")
		give(2, "a", essaim.CodeInternal)
		p.fails = nil
		give(2, "a", "") // what was not given does not count
		give(3, "a", "")
		give(4, "a", essaim.CodeConflict) // the fourth of one household
		give(4, "b", "")

		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f = open(t, p, file)
		give(1, "c", essaim.CodeConflict) // a restart forgets nobody
		time.Sleep(24 * time.Hour)        // the bubble's clock
		give(1, "a", "")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(p.given[essaim.Address{1}], p.given[essaim.Address{2}], p.given[essaim.Address{4}]); got != "0.00002 AIM 0.00001 AIM 0.00001 AIM" {
			t.Error(got)
		}
	})
}

// TestFaucetAtOnce: of many requests at a time one is given.
func TestFaucetAtOnce(t *testing.T) {
	p := &purse{given: map[essaim.Address]essaim.Amount{}}
	f := open(t, p, filepath.Join(t.TempDir(), "faucet"))
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() { _, _ = f.Give(t.Context(), essaim.Address{9}, fmt.Sprint(i)) })
	}
	all.Wait()
	if p.given[essaim.Address{9}] != 10 {
		t.Error(p.given)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFaucetList: a line that a crash has cut is dropped, a damaged list is refused.
func TestFaucetList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faucet")
	p := &purse{given: map[essaim.Address]essaim.Amount{}}
	f := open(t, p, file)
	if _, err := f.Give(t.Context(), essaim.Address{1}, "a"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b string) {
		if err := os.WriteFile(file, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(string(whole) + `{"to":"essaim1`)
	f = open(t, p, file)
	if _, err := f.Give(t.Context(), essaim.Address{1}, "a"); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	write("nonsense\n" + string(whole))
	if _, err := web.OpenFaucet(web.FaucetConfig{Give: p.give, Pause: time.Hour, File: file}); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Error(err)
	}
}

// TestFaucetOfInstances: two instances on one database give each account once, and each network so many, whichever is asked.
func TestFaucetOfInstances(t *testing.T) {
	server, why, err := durabletest.Start()
	if err != nil {
		t.Fatal(err)
	}
	if server == nil {
		t.Skip(why)
	}
	t.Cleanup(func() { _ = server.Stop() })
	db := server.Database(t)
	p := &purse{given: map[essaim.Address]essaim.Amount{}}
	var two [2]*web.Faucet
	for i := range two {
		rows, err := postgres.Open(t.Context(), postgres.Config{
			URL: db, Name: "test", Space: "faucet", Schema: web.FaucetSchema, Fence: &durable.Stmt{Query: "SELECT " + web.FaucetTurn}, Reads: 2,
		})
		if err != nil {
			t.Fatal(err)
		}
		if two[i], err = web.OpenFaucet(web.FaucetConfig{Give: p.give, Amount: 10, Pause: 24 * time.Hour, Most: 3, Rows: rows}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = two[i].Close() })
	}
	var all sync.WaitGroup
	for i := range 32 { // one account asks from everywhere, and one network for many accounts
		all.Go(func() { _, _ = two[i%2].Give(t.Context(), essaim.Address{9}, fmt.Sprint(i)) })
		all.Go(func() { _, _ = two[i%2].Give(t.Context(), essaim.Address{100, byte(i)}, "crowd") })
	}
	all.Wait()
	if p.given[essaim.Address{9}] != 10 || len(p.given) != 4 {
		t.Errorf("given: %v", p.given)
	}
	give := func(i int, to byte, host string, code essaim.Code) {
		t.Helper()
		if _, err := two[i].Give(t.Context(), essaim.Address{to}, host); (err == nil) != (code == "") || err != nil && essaim.CodeOf(err) != code {
			t.Errorf("%d from %s: %v, want %q", to, host, err, code)
		}
	}
	p.fails = errors.New("no coins")
	give(0, 1, "a", essaim.CodeInternal)
	p.fails = nil
	give(1, 1, "a", "") // what was not given does not count
	give(0, 1, "b", essaim.CodeConflict)
	give(1, 5, "crowd", essaim.CodeConflict)
	old, err := postgres.Open(t.Context(), postgres.Config{URL: db, Name: "test", Space: "faucet"})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if _, err := old.Write(durable.Stmt{Query: `UPDATE gifts SET at = at - 86400000`}); err != nil { // a day passes
		t.Fatal(err)
	}
	give(0, 1, "b", "")
	give(1, 5, "crowd", "")
	var left int
	if err := old.QueryRow(t.Context(), `SELECT COUNT(*) FROM gifts`).Scan(&left); err != nil || left != 2 {
		t.Errorf("%d rows are kept, %v", left, err)
	}
}
