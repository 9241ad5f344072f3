package wallet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"

	"golang.org/x/crypto/scrypt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/ethsig"
)

// keyFile is Web3 Secret Storage, version 3: the private key under AES-128-CTR with
// the first half of a scrypt key, authenticated by Keccak-256 over the second half
// and the ciphertext.
//
// Source: ethereum.org, "Web3 Secret Storage Definition".
type keyFile struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Address string    `json:"address"` // hex without 0x
	Crypto  keyCrypto `json:"crypto"`
}

type keyCrypto struct {
	Cipher       string    `json:"cipher"`
	CipherText   string    `json:"ciphertext"`
	CipherParams cipherIV  `json:"cipherparams"`
	KDF          string    `json:"kdf"`
	KDFParams    kdfParams `json:"kdfparams"`
	MAC          string    `json:"mac"`
}

type cipherIV struct {
	IV string `json:"iv"`
}

type kdfParams struct {
	N     int    `json:"n"`
	R     int    `json:"r"`
	P     int    `json:"p"`
	DKLen int    `json:"dklen"`
	Salt  string `json:"salt"`
}

// The scrypt cost: the format's usual one with a passphrase (about a second of one
// core), its light one without, where slowness would protect nothing.
const (
	scryptN      = 1 << 18
	scryptNLight = 1 << 12
	scryptMaxN   = 1 << 20 // what a file may ask of us
)

func encrypt(a *Account, passphrase string) ([]byte, error) {
	var salt, id [32]byte
	var iv [aes.BlockSize]byte
	rand.Read(salt[:])
	rand.Read(id[:])
	rand.Read(iv[:])
	kdf := kdfParams{N: scryptN, R: 8, P: 1, DKLen: 32, Salt: hex.EncodeToString(salt[:])}
	if passphrase == "" {
		kdf.N = scryptNLight
	}
	key, err := scrypt.Key([]byte(passphrase), salt[:], kdf.N, kdf.R, kdf.P, kdf.DKLen)
	if err != nil {
		return nil, err
	}
	text, err := ctr(key[:16], iv[:], a.private)
	if err != nil {
		return nil, err
	}
	i := hex.EncodeToString(id[:16])
	return json.MarshalIndent(keyFile{
		Version: 3, ID: i[:8] + "-" + i[8:12] + "-4" + i[13:16] + "-8" + i[17:20] + "-" + i[20:32], Address: a.address.Hex()[2:],
		Crypto: keyCrypto{
			Cipher: "aes-128-ctr", CipherText: hex.EncodeToString(text), CipherParams: cipherIV{hex.EncodeToString(iv[:])},
			KDF: "scrypt", KDFParams: kdf, MAC: hex.EncodeToString(ethsig.Keccak256(key[16:32], text)),
		},
	}, "", "  ")
}

// protected reports whether a passphrase was given: the files of a key without one are known
// by their light cost, which no other program writes.
func (c keyCrypto) protected() bool { return c.KDFParams.N != scryptNLight || c.KDFParams.P != 1 }

func decrypt(b []byte, passphrase string) (*Account, error) {
	var f keyFile
	bad := func(what string) error {
		return essaim.Errorf(essaim.CodeBadInput, "restore it from a backup", "the key file is damaged: %s", what)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, bad(err.Error())
	}
	c, k := f.Crypto, f.Crypto.KDFParams
	salt, err1 := hex.DecodeString(k.Salt)
	iv, err2 := hex.DecodeString(c.CipherParams.IV)
	text, err3 := hex.DecodeString(c.CipherText)
	mac, err4 := hex.DecodeString(c.MAC)
	switch {
	case f.Version != 3 || c.Cipher != "aes-128-ctr" || c.KDF != "scrypt" || k.DKLen != 32:
		return nil, bad("only version 3 with scrypt and aes-128-ctr is read")
	case err1 != nil || err2 != nil || err3 != nil || err4 != nil || len(iv) != aes.BlockSize:
		return nil, bad("a field is not hex of the right length")
	case k.N > scryptMaxN || k.R > 32 || k.P > 32:
		return nil, bad("it asks for an absurd amount of work")
	}
	key, err := scrypt.Key([]byte(passphrase), salt, k.N, k.R, k.P, k.DKLen)
	if err != nil {
		return nil, bad(err.Error())
	}
	if !hmac.Equal(mac, ethsig.Keccak256(key[16:32], text)) {
		return nil, essaim.Errorf(essaim.CodeRefused, "set ESSAIM_PASSPHRASE, give --passphrase-file, or keep it with `essaim keys remember`", "wrong passphrase, or the key file is damaged")
	}
	private, err := ctr(key[:16], iv, text)
	if err != nil {
		return nil, err
	}
	a, err := NewAccount(private)
	if err != nil {
		return nil, err
	}
	if a.address.Hex()[2:] != f.Address {
		if other, err := essaim.ParseAddress("0x" + f.Address); err != nil || other != a.address {
			return nil, bad("its address belongs to another key")
		}
	}
	return a, nil
}

func ctr(key, iv, in []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(in))
	cipher.NewCTR(block, iv).XORKeyStream(out, in)
	return out, nil
}
