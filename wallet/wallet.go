// Package wallet keeps the keys of a person and of a node: accounts that hold money,
// and the Ed25519 and HPKE keys that a node works with.
//
// Account keys are files in the Web3 Secret Storage format (version 3), so that
// MetaMask and geth import what is created here and the other way round. A wallet
// signs bytes; it does not know what a transaction is, needs nothing of the ledger's
// software, and never sends anything. It must not log a key.
package wallet

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cosmos/go-bip39"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/ethsig"
)

// Account can sign for an address. It is safe for concurrent use.
type Account struct {
	private []byte
	public  []byte
	address essaim.Address
}

// NewAccount takes a 32-byte secp256k1 private key.
func NewAccount(private []byte) (*Account, error) {
	public, err := ethsig.PublicKey(private)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "a private key is 64 hex digits", "private key: %w", err)
	}
	addr, err := ethsig.Address(public)
	if err != nil {
		return nil, err
	}
	return &Account{slices.Clone(private), public, essaim.Address(addr)}, nil
}

// GenerateAccount makes a fresh account.
func GenerateAccount() (*Account, error) {
	var k [ethsig.PrivateKeySize]byte
	rand.Read(k[:])
	return NewAccount(k[:])
}

// Address is where the account's money is.
func (a *Account) Address() essaim.Address { return a.address }

// PublicKey is the compressed point, 33 bytes.
func (a *Account) PublicKey() []byte { return slices.Clone(a.public) }

// PrivateKey is the 32-byte scalar, for export only.
func (a *Account) PrivateKey() []byte { return slices.Clone(a.private) }

// Sign hashes msg with Keccak-256 and returns r || s || v.
func (a *Account) Sign(msg []byte) ([]byte, error) { return ethsig.Sign(a.private, msg) }

// ParseSecret reads what people paste: a mnemonic, or a private key in hex with or
// without 0x.
//
// Errors: CodeBadInput.
func ParseSecret(s string) (*Account, error) {
	s = strings.TrimSpace(s)
	if strings.Contains(s, " ") {
		private, err := ethsig.FromMnemonic(strings.Join(strings.Fields(s), " "), 0)
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "check the words and their order", "mnemonic: %w", err)
		}
		return NewAccount(private)
	}
	private, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil || len(private) != ethsig.PrivateKeySize {
		return nil, essaim.Errorf(essaim.CodeBadInput, "paste 12 or 24 words, or 64 hex digits", "this is neither a mnemonic nor a private key")
	}
	return NewAccount(private)
}

// Store is a folder of encrypted account keys, one file each.
type Store struct{ dir string }

// Open names the folder; it is made when the first key is saved.
func Open(dir string) *Store { return &Store{dir} }

// Named is a stored account.
type Named struct {
	Name      string         `json:"name"`
	Address   essaim.Address `json:"address"`
	Protected bool           `json:"protected"` // by a passphrase
}

var nameRule = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)

func (s *Store) path(name string) (string, error) {
	if !nameRule.MatchString(name) {
		return "", essaim.Errorf(essaim.CodeBadInput, "use up to 32 of a-z 0-9 . _ - and begin with a letter or digit", "%q is no name for a key", name)
	}
	return filepath.Join(s.dir, name+".json"), nil
}

// Create makes an account from a fresh 12-word mnemonic, saves it and returns the
// words: whoever has them has the money, and they are shown only now.
func (s *Store) Create(name, passphrase string) (*Account, string, error) {
	entropy, err := bip39.NewEntropy(128)
	if err != nil {
		return nil, "", err
	}
	words, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return nil, "", err
	}
	a, err := ParseSecret(words)
	if err != nil {
		return nil, "", err
	}
	return a, words, s.Save(name, passphrase, a)
}

// Save encrypts the account under a passphrase. An empty passphrase protects
// against nothing but a glance.
//
// Errors: CodeConflict if the name is taken; CodeBadInput if it is not a name.
func (s *Store) Save(name, passphrase string, a *Account) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	b, err := encrypt(a, passphrase)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make the key folder: %w", err)
	}
	return writeNew(path, b, "key "+name)
}

// Load decrypts an account.
//
// Errors: CodeNotFound; CodeRefused for a wrong passphrase; CodeBadInput for a
// damaged file.
func (s *Store) Load(name, passphrase string) (*Account, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, essaim.Errorf(essaim.CodeNotFound, "`essaim keys list` shows those there are", "no key is named %q", name)
	}
	if err != nil {
		return nil, err
	}
	a, err := decrypt(b, passphrase)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	return a, nil
}

// Look says which account a key is of, without opening it.
//
// Errors: CodeNotFound; CodeBadInput if it is no name, or if a file of the folder is damaged.
func (s *Store) Look(name string) (Named, error) {
	if _, err := s.path(name); err != nil {
		return Named{}, err
	}
	list, err := s.List()
	if err != nil {
		return Named{}, err
	}
	for _, k := range list {
		if k.Name == name {
			return k, nil
		}
	}
	return Named{}, essaim.Errorf(essaim.CodeNotFound, "`essaim keys list` shows those there are", "no key is named %q", name)
}

// List returns the stored accounts by name.
func (s *Store) List() ([]Named, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Named
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !nameRule.MatchString(name) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(s.dir, e.Name()))
		if err != nil {
			return nil, err
		}
		var f keyFile
		if err := json.Unmarshal(b, &f); err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "restore it from a backup or remove it", "key file %s is damaged: %w", e.Name(), err)
		}
		addr, err := essaim.ParseAddress("0x" + strings.TrimPrefix(f.Address, "0x"))
		if err != nil {
			return nil, err
		}
		out = append(out, Named{name, addr, f.Crypto.protected()})
	}
	return out, nil
}

// writeNew writes a file that must not exist yet, whole or not at all.
func writeNew(path string, b []byte, what string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return essaim.Errorf(essaim.CodeConflict, "choose another name", "%s exists already", what)
	} else if err != nil {
		return err
	}
	return nil
}
