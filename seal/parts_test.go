package seal_test

import (
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/seal"
)

func TestParts(t *testing.T) {
	key, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	p, err := seal.NewParts([]byte("task"), key.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	var sealed [][]byte
	texts := []string{"Hello", "", " wörld", strings.Repeat("x", seal.MaxPart)}
	for _, text := range texts {
		b, err := p.Seal(text)
		if err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, b)
	}
	if len(sealed[1]) != len(sealed[2]) {
		t.Error("the length of a short text shows")
	}
	r := key.Parts([]byte("task"))
	for i, want := range texts {
		if got, err := r.Open(sealed[i]); err != nil || got != want {
			t.Fatalf("part %d: %.20q, %v", i, got, err)
		}
	}
	refuse := func(why string, r *seal.Reader, parts ...[]byte) {
		t.Helper()
		for i, b := range parts {
			if _, err := r.Open(b); (i == len(parts)-1) != (essaim.CodeOf(err) == essaim.CodeRefused && err != nil) {
				t.Errorf("%s: part %d: %v", why, i, err)
			}
		}
	}
	refuse("another task", key.Parts([]byte("other")), sealed[0])
	refuse("a part left out", key.Parts([]byte("task")), sealed[0], sealed[2])
	refuse("a part again", key.Parts([]byte("task")), sealed[0], sealed[0])
	refuse("begun late", key.Parts([]byte("task")), sealed[1])
	other, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	refuse("another key", other.Parts([]byte("task")), sealed[0])
	if _, err := p.Seal(strings.Repeat("x", seal.MaxPart+1)); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("too long: %v", err)
	}
	if _, err := seal.NewParts(nil, []byte("short")); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("no key: %v", err)
	}
}
