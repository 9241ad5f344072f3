package wallet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/ethsig"
	"github.com/essaim/essaim/wallet"
)

const (
	testWords   = "test test test test test test test test test test test junk"
	testPrivate = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
	testAddress = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
)

func TestParseSecret(t *testing.T) {
	for _, s := range []string{testWords, testPrivate, testPrivate[2:], "  " + strings.ReplaceAll(testWords, " ", "  ") + "\n"} {
		a, err := wallet.ParseSecret(s)
		if err != nil {
			t.Fatalf("ParseSecret(%q): %v", s, err)
		}
		if got := a.Address().Hex(); got != testAddress {
			t.Errorf("ParseSecret(%q) has address %s, want %s", s, got, testAddress)
		}
	}
	for _, s := range []string{"", "test test", testWords + " test", strings.Replace(testWords, "junk", "test", 1), testPrivate[:60], "0x00", "hello"} {
		if _, err := wallet.ParseSecret(s); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("ParseSecret(%q): %v, want a refusal", s, err)
		}
	}
}

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	s := wallet.Open(dir)
	if l, err := s.List(); err != nil || len(l) != 0 {
		t.Fatalf("a folder that is not there lists %v, %v", l, err)
	}
	a, words, err := s.Create("alice", "")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := wallet.ParseSecret(words); err != nil || again.Address() != a.Address() {
		t.Errorf("the words %q restore %v, %v; want %s", words, again, err, a.Address())
	}
	if err := s.Save("alice", "", a); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("a key was overwritten: %v", err)
	}
	b, err := s.Load("alice", "")
	if err != nil || b.Address() != a.Address() {
		t.Fatalf("Load: %v, %v", b, err)
	}
	sig, err := b.Sign([]byte("hello"))
	if err != nil || !ethsig.Verify(a.PublicKey(), []byte("hello"), sig) {
		t.Errorf("the loaded key signs %x, %v", sig, err)
	}
	if _, err := s.Load("alice", "wrong"); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("a wrong passphrase: %v", err)
	}
	if _, err := s.Load("bob", ""); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Errorf("an unknown name: %v", err)
	}
	for _, name := range []string{"", "../alice", "A", "a/b", ".hidden"} {
		if _, _, err := s.Create(name, ""); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("name %q: %v", name, err)
		}
	}
	if l, err := s.List(); err != nil || len(l) != 1 || l[0].Name != "alice" || l[0].Address != a.Address() {
		t.Errorf("List = %v, %v", l, err)
	}
	info, err := os.Stat(filepath.Join(dir, "alice.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v; want mode 0600", info.Mode(), err)
	}
}

// TestForeignKeyFile reads the test vector of the format's definition.
func TestForeignKeyFile(t *testing.T) {
	dir := t.TempDir()
	b, err := os.ReadFile("testdata/web3-v3-scrypt.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vector.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := wallet.Open(dir).Load("vector", "testpassword")
	if err != nil {
		t.Fatal(err)
	}
	want, err := wallet.ParseSecret("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
	if err != nil || a.Address() != want.Address() {
		t.Errorf("the vector holds %s, want %s (%v)", a.Address(), want.Address(), err)
	}
}

func TestNodeKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "miner")
	a, err := wallet.LoadNodeKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wallet.LoadNodeKeys(dir)
	if err != nil || a.ID() != b.ID() || string(a.HPKE.PublicKey()) != string(b.HPKE.PublicKey()) {
		t.Fatalf("the second load differs from the first: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "hpke.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := wallet.LoadNodeKeys(dir); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("with one key gone: %v, want a refusal", err)
	}
}
