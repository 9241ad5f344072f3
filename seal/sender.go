package seal

import (
	"crypto/cipher"
	"crypto/hpke"
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

const (
	// suite is the HPKE info of every context; what an envelope is for is in the exporter
	// context.
	suite = "essaim/seal/2"

	// agreedAge is how long a Sender uses what it has agreed on. Then it is forgotten with
	// the next agreement: who finds a Sender's memory reads its latest envelopes only.
	agreedAge = 10 * time.Minute

	// maxAgreed bounds what is remembered, some 2 KB each; beyond it all is forgotten.
	maxAgreed = 1 << 12
)

// exporter derives a key from what was agreed on; it is safe for concurrent use.
type exporter func(context string, length int) ([]byte, error)

// Sender seals many envelopes to the same few recipients. The zero value is ready.
type Sender struct {
	mu    sync.Mutex
	known map[string]*agreement // by public key; guarded by mu
}

// agreement is a secret with one recipient.
type agreement struct {
	made   time.Time
	once   sync.Once // then the rest is set
	id     KeyID
	enc    []byte
	export exporter
	err    error
}

// Check refuses bytes that nothing can be sealed to; it is quick for a recipient that has
// been sealed to before.
//
// Errors: CodeBadInput.
func (s *Sender) Check(public []byte) error {
	_, err := s.with(public)
	return err
}

// with agrees with a recipient, unless that was done lately.
func (s *Sender) with(public []byte) (*agreement, error) {
	s.mu.Lock()
	a := s.known[string(public)]
	if a == nil || time.Since(a.made) > agreedAge {
		maps.DeleteFunc(s.known, func(_ string, a *agreement) bool { return time.Since(a.made) > agreedAge })
		if s.known == nil || len(s.known) >= maxAgreed {
			s.known = map[string]*agreement{}
		}
		a = &agreement{made: time.Now()}
		s.known[string(public)] = a
	}
	s.mu.Unlock()
	a.once.Do(func() {
		a.id = IDOf(public)
		a.enc, a.export, a.err = agree(public)
	})
	if a.err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.known[string(public)] == a {
			delete(s.known, string(public))
		}
	}
	return a, a.err
}

func agree(public []byte) ([]byte, exporter, error) {
	key, err := parsePublic(public)
	if err != nil {
		return nil, nil, err
	}
	enc, sender, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.AES128GCM(), []byte(suite))
	if err != nil {
		return nil, nil, internal("agree with a recipient", err)
	}
	return enc, sender.Export, nil
}

// agreed is what a key has agreed on with senders, by the digest of the encapsulated key.
type agreed struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]exporter // guarded by mu
}

func (a *agreed) find(id [sha256.Size]byte) exporter {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[id]
}

func (a *agreed) keep(id [sha256.Size]byte, e exporter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= maxAgreed {
		a.known = map[[sha256.Size]byte]exporter{}
	}
	a.known[id] = e
}

// content opens a slot. Only what has opened one is remembered.
func (k *PrivateKey) content(slot, salt, info []byte) ([]byte, error) {
	id := sha256.Sum256(slot[:encSize])
	export := k.agreed.find(id)
	fresh := export == nil
	if fresh {
		r, err := hpke.NewRecipient(slot[:encSize], k.key, hpke.HKDFSHA256(), hpke.AES128GCM(), []byte(suite))
		if err != nil {
			return nil, err
		}
		export = r.Export
	}
	aead, err := slotCipher(export, salt, info)
	if err != nil {
		return nil, err
	}
	content, err := aead.Open(nil, make([]byte, aead.NonceSize()), slot[encSize:], nil)
	if err == nil && fresh {
		k.agreed.keep(id, export)
	}
	return content, err
}

// slotCipher is the cipher of one slot of one envelope.
func slotCipher(export exporter, salt, info []byte) (cipher.AEAD, error) {
	key, err := export("key\x00"+string(salt)+string(info), keySize)
	if err != nil {
		return nil, internal("derive a slot's key", err)
	}
	return bodyCipher(key)
}
