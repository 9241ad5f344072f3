package seal

import (
	"crypto/hpke"
	"encoding/binary"

	"github.com/essaim/essaim"
)

// Parts seals a text part by part while it is being written, to one recipient. Whoever carries
// them sees how many parts there are and, in steps of 64 bytes, how long each is. The whole text
// is sealed once more when it is finished: parts that are lost on the way are no loss.
//
// It is HPKE as Seal's slots are, with "essaim/parts/1" as the domain. The first part begins with the
// encapsulated key; each has the length of the text (2 bytes), the text, and zeros up to the step.
// A Parts belongs to one goroutine.
type Parts struct {
	enc    []byte // nil once it was sent
	sender *hpke.Sender
}

const (
	partDomain = "essaim/parts/1\x00"
	partStep   = 64

	// MaxPart bounds a part's text, in bytes.
	MaxPart = 32 << 10
)

// NewParts begins a text to the recipient.
//
// Errors: CodeBadInput if the key is none.
func NewParts(info, recipient []byte) (*Parts, error) {
	key, err := parsePublic(recipient)
	if err != nil {
		return nil, err
	}
	enc, sender, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.AES128GCM(), append([]byte(partDomain), info...))
	if err != nil {
		return nil, internal("begin sealed parts", err)
	}
	return &Parts{enc, sender}, nil
}

// Seal seals the next part.
//
// Errors: CodeBadInput for more than MaxPart bytes.
func (p *Parts) Seal(text string) ([]byte, error) {
	if len(text) > MaxPart {
		return nil, essaim.Errorf(essaim.CodeBadInput, "split it", "a part of %d bytes, at most %d", len(text), MaxPart)
	}
	padded := make([]byte, (2+len(text)+partStep-1)/partStep*partStep)
	binary.BigEndian.PutUint16(padded, uint16(len(text)))
	copy(padded[2:], text)
	sealed, err := p.sender.Seal(nil, padded)
	if err != nil {
		return nil, internal("seal a part", err)
	}
	out := append(p.enc, sealed...)
	p.enc = nil
	return out, nil
}

// Reader opens parts in their order. It belongs to one goroutine.
type Reader struct {
	key       *PrivateKey
	info      []byte
	recipient *hpke.Recipient // nil before the first part
}

// Parts reads a text that is sealed part by part with this info.
func (k *PrivateKey) Parts(info []byte) *Reader {
	return &Reader{key: k, info: append([]byte(partDomain), info...)}
}

// Open opens the next part.
//
// Errors: CodeRefused if it is another one, or was changed; nothing further opens then.
func (r *Reader) Open(part []byte) (string, error) {
	if r.recipient == nil {
		if len(part) < encSize {
			return "", damaged("it does not begin as the first part does")
		}
		recipient, err := hpke.NewRecipient(part[:encSize], r.key.key, hpke.HKDFSHA256(), hpke.AES128GCM(), r.info)
		if err != nil {
			return "", damaged("its key does not open")
		}
		r.recipient, part = recipient, part[encSize:]
	}
	padded, err := r.recipient.Open(nil, part)
	if err != nil {
		return "", damaged("it is not the next part")
	}
	if len(padded) < 2 || int(binary.BigEndian.Uint16(padded)) > len(padded)-2 {
		return "", damaged("its padding is wrong")
	}
	return string(padded[2:][:binary.BigEndian.Uint16(padded)]), nil
}
