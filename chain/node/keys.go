package node

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/libs/tempfile"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/x/beacon"
)

// Identity is what others must know of a node before it first starts.
type Identity struct {
	Validator [32]byte // Ed25519 public key that signs blocks, for the genesis
	Beacon    [32]byte // public key that proves for the beacon, for the genesis
	Peer      string   // ID, for other nodes' Peers: ID@host:port
}

// Init makes the home's folders and, at random, those of its keys that are missing. It
// may be called on any home, as often as one likes.
//
// Errors: CodeConflict if the validator has signed blocks but the record of it is gone.
func Init(home string) (Identity, error) {
	if home == "" {
		return Identity{}, essaim.Errorf(essaim.CodeBadInput, "name a folder", "the node has no home")
	}
	cfg := cmtcfg.DefaultConfig().SetRoot(home)
	for _, dir := range []string{"config", "data"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			return Identity{}, err
		}
	}
	peer, err := p2p.LoadOrGenNodeKey(cfg.NodeKeyFile())
	if err != nil {
		return Identity{}, fmt.Errorf("peer key: %w", err)
	}
	if !exists(cfg.PrivValidatorKeyFile()) {
		privval.GenFilePV(cfg.PrivValidatorKeyFile(), cfg.PrivValidatorStateFile()).Save()
	}
	validator, err := loadValidator(home)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Peer: string(peer.ID())}
	copy(id.Validator[:], validator.Key.PubKey.Bytes())
	if !exists(proverFile(home)) {
		if err := makeProver(home); err != nil {
			return Identity{}, err
		}
	}
	prover, err := loadProver(home, validator)
	if err != nil {
		return Identity{}, err
	}
	id.Beacon = prover.Secret.Public()
	return id, nil
}

// proverFile holds the key that proves for the beacon. It is not the one that signs blocks,
// which may sit in a device that does nothing else.
func proverFile(home string) string { return filepath.Join(home, "config", "beacon_key.json") }

type proverKey struct {
	Secret string `json:"secret"` // 64 hex digits
}

func makeProver(home string) error {
	var secret beacon.Secret
	if _, err := rand.Read(secret[:]); err != nil {
		return err
	}
	bz, err := json.Marshal(proverKey{hex.EncodeToString(secret[:])})
	if err != nil {
		return err
	}
	return tempfile.WriteFileAtomic(proverFile(home), bz, 0o600)
}

func loadProver(home string, validator *privval.FilePV) (chain.Prover, error) {
	p := chain.Prover{Validator: sdk.ConsAddress(validator.GetAddress())}
	var stored proverKey
	if err := readJSON(proverFile(home), &stored); err != nil {
		return p, err
	}
	bz, err := hex.DecodeString(stored.Secret)
	if err != nil || len(bz) != len(p.Secret) {
		return p, essaim.Errorf(essaim.CodeBadInput, "restore the file from your backup, or remove it and register the new key",
			"%s does not hold a secret of 64 hex digits", proverFile(home))
	}
	copy(p.Secret[:], bz)
	return p, nil
}

// loadValidator loads the validator's key with the record of what it last signed, which
// is what stops a restarted validator from signing twice. CometBFT's own loader ends the
// process on a bad file, so the files are read here first.
func loadValidator(home string) (*privval.FilePV, error) {
	cfg := cmtcfg.DefaultConfig().SetRoot(home)
	keyFile, stateFile := cfg.PrivValidatorKeyFile(), cfg.PrivValidatorStateFile()
	var key privval.FilePVKey
	if err := readJSON(keyFile, &key); err != nil {
		return nil, err
	}
	if key.PrivKey == nil || key.PrivKey.Type() != ed25519.KeyType {
		return nil, essaim.Errorf(essaim.CodeBadInput, "restore the file from your backup", "%s does not hold an Ed25519 key", keyFile)
	}
	if exists(stateFile) {
		var state privval.FilePVLastSignState
		if err := readJSON(stateFile, &state); err != nil {
			return nil, err
		}
		return privval.LoadFilePV(keyFile, stateFile), nil
	}
	if exists(filepath.Join(cfg.DBDir(), "blockstore.db")) {
		return nil, essaim.Errorf(essaim.CodeConflict, "restore the file, or validate with a new key: signing twice is slashed",
			"%s is missing on a home that has blocks", stateFile)
	}
	validator := privval.NewFilePV(key.PrivKey, keyFile, stateFile)
	validator.Save()
	return validator, nil
}

func readJSON(file string, into any) error {
	bz, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := cmtjson.Unmarshal(bz, into); err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "restore the file from your backup", "%s: %w", file, err)
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, os.ErrNotExist)
}
