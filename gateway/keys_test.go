package gateway_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway"
)

func openKeys(t testing.TB, path string) *gateway.KeyStore {
	t.Helper()
	s, err := gateway.OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // some tests close it themselves
	return s
}

func TestKeysLive(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "my keys?.db")
	s := openKeys(t, path)
	secret, k, err := s.Create(ctx, "anna", 5*essaim.AIM)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^sk-essaim-[0-9A-Za-z]{10}-[0-9A-Za-z]{49}$`).MatchString(secret) {
		t.Errorf("secret %q", secret)
	}
	if got, err := s.Find(ctx, secret); err != nil || got != k {
		t.Errorf("%+v, %v; want %+v", got, err, k)
	}
	r, err := s.Reserve(ctx, k.ID, essaim.AIM)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Settle(ctx, 400); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openKeys(t, path)
	if got, err := s.Find(ctx, secret); err != nil || got.Spent != 400 || got.Name != "anna" {
		t.Errorf("after reopening: %+v, %v", got, err)
	}
	if err := s.Revoke(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	_, err = s.Find(ctx, secret)
	wantCode(t, err, essaim.CodeRefused)
	_, err = s.Reserve(ctx, k.ID, 1)
	wantCode(t, err, essaim.CodeRefused)
	wantCode(t, s.Revoke(ctx, "nobody"), essaim.CodeNotFound)
	if list, err := s.List(ctx); err != nil || len(list) != 1 || !list[0].Revoked {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestTheFileHoldsNoSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	s := openKeys(t, path)
	secret, k, err := s.Create(t.Context(), "anna", essaim.AIM)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), k.ID) || strings.Contains(string(b), secret[25:60]) {
		t.Error("the file should hold the key's ID and not its secret")
	}
}

func TestWrongSecretsAreRefused(t *testing.T) {
	s := openKeys(t, filepath.Join(t.TempDir(), "keys.db"))
	secret, _, err := s.Create(t.Context(), "anna", essaim.AIM)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := openKeys(t, filepath.Join(t.TempDir(), "keys.db")).Create(t.Context(), "bert", essaim.AIM)
	if err != nil {
		t.Fatal(err)
	}
	wrong := []string{"", "sk-", "sk-proj-1234", secret + "x", secret[:len(secret)-1], other, strings.ToLower(secret), " " + secret}
	for i := range secret {
		b := []byte(secret)
		b[i] ^= 1
		wrong = append(wrong, string(b))
	}
	for _, w := range wrong {
		if _, err := s.Find(t.Context(), w); essaim.CodeOf(err) != essaim.CodeRefused {
			t.Errorf("%q: got %v", w, err)
		}
	}
}

// TestBooksBalance drives a key with random reservations and compares it with a
// model: what is spent and reserved never exceeds the limit.
func TestBooksBalance(t *testing.T) {
	s := openKeys(t, filepath.Join(t.TempDir(), "keys.db"))
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		limit := essaim.Amount(rapid.Uint64Range(0, 100).Draw(rt, "limit"))
		secret, k, err := s.Create(ctx, "rapid", limit)
		if err != nil {
			rt.Fatal(err)
		}
		type open struct {
			r      *gateway.Reservation
			amount essaim.Amount
		}
		var spent, reserved essaim.Amount
		var under []open
		rt.Repeat(map[string]func(*rapid.T){
			"reserve": func(rt *rapid.T) {
				amount := essaim.Amount(rapid.Uint64Range(0, 60).Draw(rt, "amount"))
				r, err := s.Reserve(ctx, k.ID, amount)
				fits := spent+reserved+amount <= limit && len(under) < 16
				if fits != (err == nil) {
					rt.Fatalf("spent %d, reserved %d, limit %d, %d under way: reserving %d gives %v", spent, reserved, limit, len(under), amount, err)
				}
				if err == nil {
					under, reserved = append(under, open{r, amount}), reserved+amount
				}
			},
			"settle": func(rt *rapid.T) {
				if len(under) == 0 {
					rt.Skip("nothing is under way")
				}
				o := under[len(under)-1]
				cost := essaim.Amount(rapid.Uint64Range(0, uint64(o.amount)+5).Draw(rt, "cost"))
				if err := o.r.Settle(ctx, cost); err != nil {
					rt.Fatal(err)
				}
				under, reserved, spent = under[:len(under)-1], reserved-o.amount, spent+min(cost, o.amount)
			},
			"": func(rt *rapid.T) {
				got, err := s.Find(ctx, secret)
				if err != nil || got.Spent != spent || got.Spent > limit {
					rt.Fatalf("spent %d of %d, want %d, %v", got.Spent, limit, spent, err)
				}
			},
		})
	})
}

func TestConcurrentRequestsCannotOverspend(t *testing.T) {
	s := openKeys(t, filepath.Join(t.TempDir(), "keys.db"))
	ctx := t.Context()
	secret, k, err := s.Create(ctx, "anna", 100)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				r, err := s.Reserve(ctx, k.ID, 7)
				if err != nil {
					continue
				}
				if err := r.Settle(ctx, 7); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := s.Find(ctx, secret); err != nil || got.Spent != 98 {
		t.Errorf("spent %d, want 98: %v", got.Spent, err)
	}
}

func BenchmarkReserveAndSettle(b *testing.B) {
	s := openKeys(b, filepath.Join(b.TempDir(), "keys.db"))
	_, k, err := s.Create(b.Context(), "bench", essaim.Amount(1e15))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := s.Reserve(b.Context(), k.ID, 1)
		if err == nil {
			err = r.Settle(b.Context(), 1)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
