package desk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"io"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/gateway/apikey"
)

// conversation names what a chat goes on with: a conversation with a model is one that begins with the same words, up to
// the first that its user has said.
func (d *Desk) conversation(model essaim.Digest, c engine.Chat) string {
	words := []string{string(model[:])}
	for _, m := range c.Messages {
		words = append(words, m.Role, m.Content)
		if m.Role == "user" {
			break
		}
	}
	return d.name(words...)
}

// ofKey is a key's own name of a conversation; "" stays.
func (d *Desk) ofKey(key apikey.Key, conversation string) string {
	if conversation == "" {
		return ""
	}
	return d.name(key.ID, key.Guest, conversation)
}

// name is made under a secret of this process, so that it says nothing of the words.
func (d *Desk) name(words ...string) string {
	mac := hmac.New(sha256.New, d.secret[:])
	add(mac, words)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// add adds texts so that no two lists are the same bytes.
func add(h hash.Hash, texts []string) {
	for _, t := range texts {
		_, _ = h.Write([]byte{byte(len(t) >> 24), byte(len(t) >> 16), byte(len(t) >> 8), byte(len(t))}) // a hash takes everything
		_, _ = io.WriteString(h, t)
	}
}
