package apikey_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/essaim/essaim"
)

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
	h := reserve(t, s, k.ID, essaim.AIM, 1)
	for range 2 {
		if err := h.Parts[0].Capture(task(1), 7, 400, nil)(); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Done(); err != nil {
		t.Fatal(err)
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
	_, err = s.Reserve(ctx, k.ID, 1, 1)
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
	if all := contents(t, path); !strings.Contains(all, k.ID) || strings.Contains(all, secret[25:60]) {
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
