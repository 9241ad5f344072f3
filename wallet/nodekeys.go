package wallet

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/seal"
)

// NodeKeys are the hot keys of a miner or coordinator. They lie unencrypted, since a
// node must start without a person; they can work, never withdraw.
type NodeKeys struct {
	Sign ed25519.PrivateKey // identity on the peer network, signs receipts and settlements
	HPKE *seal.PrivateKey   // prompts are sealed to it
}

// ID is the public key the owner registers.
func (k NodeKeys) ID() essaim.NodeKey { return essaim.NodeKeyOf(k.Sign) }

// LoadNodeKeys reads a node's keys from its folder (node.key and hpke.key, hex, mode
// 0600), making both if neither is there.
//
// Errors: CodeBadInput if a file is damaged or one of the two is missing: a node
// that quietly took a new key would no longer be the one that was registered.
func LoadNodeKeys(dir string) (NodeKeys, error) {
	var k NodeKeys
	sign, hpke := filepath.Join(dir, "node.key"), filepath.Join(dir, "hpke.key")
	if missing(sign) && missing(hpke) {
		if err := makeNodeKeys(dir, sign, hpke); err != nil {
			return k, fmt.Errorf("make node keys: %w", err)
		}
	}
	seed, err := readHex(sign)
	if err != nil {
		return k, err
	}
	if len(seed) != ed25519.SeedSize {
		return k, essaim.Errorf(essaim.CodeBadInput, "restore it from a backup", "node key %s holds %d bytes, want %d", sign, len(seed), ed25519.SeedSize)
	}
	k.Sign = ed25519.NewKeyFromSeed(seed)
	b, err := readHex(hpke)
	if err != nil {
		return k, err
	}
	if k.HPKE, err = seal.ParsePrivateKey(b); err != nil {
		return k, essaim.Errorf(essaim.CodeBadInput, "restore it from a backup", "HPKE key %s: %w", hpke, err)
	}
	return k, nil
}

func makeNodeKeys(dir, sign, hpke string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	h, err := seal.GenerateKey()
	if err != nil {
		return err
	}
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:])
	if err := writeNew(hpke, []byte(hex.EncodeToString(h.Bytes())+"\n"), "HPKE key"); err != nil {
		return err
	}
	return writeNew(sign, []byte(hex.EncodeToString(seed[:])+"\n"), "node key")
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func readHex(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "restore it from a backup, or remove both key files and register the new node", "read key: %w", err)
	}
	k, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "restore it from a backup", "key %s is not hex", path)
	}
	return k, nil
}
