package essaim

import (
	"bytes"
	"crypto/ed25519"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// A COSE_Sign1 message has one shape here, so it is written and read without a library:
// tag, array of four, the protected header, an empty map, the payload, the signature.
// That a library reads and writes the same is tested.

// protected is the encoded protected header: algorithm, content type, key ID.
func protected(contentType string, signer NodeKey) []byte {
	c := coder{b: make([]byte, 0, 80)}
	c.open(3)
	c.b = append(c.b, 1, majorNeg|7) // 1: EdDSA
	c.text(3, &contentType)
	c.bytes(4, signer[:])
	return c.b
}

// toSign is the Sig_structure of RFC 9052 §4.4: what the signature covers.
func toSign(header, payload []byte) []byte {
	const context = "Signature1"
	c := coder{b: make([]byte, 0, len(header)+len(payload)+32)}
	c.head(majorArray, 4)
	c.head(majorText, uint64(len(context)))
	c.b = append(c.b, context...)
	c.chunk(header)
	c.chunk(nil)
	c.chunk(payload)
	return c.b
}

// chunk writes a byte string.
func (c *coder) chunk(b []byte) {
	c.head(majorBytes, uint64(len(b)))
	c.b = append(c.b, b...)
}

var (
	sign1     = []byte{0xd2, majorArray | 4}                   // tag 18, array of four
	signature = []byte{majorBytes | 24, ed25519.SignatureSize} // head of the fourth
)

func sign(contentType string, payload any, key ed25519.PrivateKey) ([]byte, error) {
	b, _, err := makeSigned(contentType, payload, key)
	return b, err
}

// makeSigned is sign that also tells the signature, as it would be read.
func makeSigned(contentType string, payload any, key ed25519.PrivateKey) ([]byte, Signature, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, Signature{}, Errorf(CodeInternal, "", "sign: key of %d bytes", len(key))
	}
	s := Signature{signer: NodeKeyOf(key)}
	header, body := protected(contentType, s.signer), encode(payload)
	s.message = toSign(header, body)
	s.bytes = voi.Sign(voi.PrivateKey(key), s.message)
	c := coder{b: make([]byte, 0, len(header)+len(body)+ed25519.SignatureSize+16)}
	c.b = append(c.b, sign1...)
	c.chunk(header)
	c.head(majorMap, 0)
	c.chunk(body)
	c.chunk(s.bytes)
	return c.b, s, nil
}

// open checks the signature of a COSE_Sign1 message and decodes its payload.
func open(what, contentType string, b []byte, out any) (NodeKey, error) {
	s, payload, err := unwrap(what, contentType, b)
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return NodeKey{}, err
	}
	return s.signer, decode(what, payload, out)
}

// unwrap takes a COSE_Sign1 message apart and leaves its signature to be checked.
func unwrap(what, contentType string, b []byte) (s Signature, payload []byte, err error) {
	damaged := func(why string) error {
		return Errorf(CodeRefused, "the bytes were changed after signing, or come from another program", "%s: %s", what, why)
	}
	rest, ok := bytes.CutPrefix(b, sign1)
	c := coder{b: rest, read: true, bad: !ok}
	header := c.cut(c.expect(majorBytes))
	c.bad = c.expect(majorMap) != 0 || c.bad
	payload = c.cut(c.expect(majorBytes))
	ok = bytes.HasPrefix(c.b, signature)
	if c.bad || !ok || len(c.b) != len(signature)+ed25519.SignatureSize {
		return s, nil, damaged("not a COSE_Sign1 message in its one deterministic encoding")
	}
	if len(header) < len(s.signer) {
		return s, nil, damaged("header does not name its signer")
	}
	copy(s.signer[:], header[len(header)-len(s.signer):])
	if !bytes.Equal(header, protected(contentType, s.signer)) {
		return s, nil, damaged("header does not say " + contentType + ", or not who signed")
	}
	s.what, s.message, s.bytes = what, toSign(header, payload), c.b[len(signature):]
	return s, payload, nil
}

// detached returns the bytes that a COSE_Sign1 signature over a detached payload
// covers.
func detached(contentType string, signer NodeKey, payload any) []byte {
	return toSign(protected(contentType, signer), encode(payload))
}

// rules are those of ZIP 215: RFC 8032's with the cofactor, and every encoding of a point
// that decodes. Unlike others they give the same answer for one signature and for many
// checked together, in every program. What crypto/ed25519 accepts they accept.
var rules = &voi.Options{Verify: voi.VerifyOptionsZIP_215}

// Verify reports whether sig is this key's signature of message. All of Essaim, the
// ledger too, has this one definition: see docs/adr/0022.
func (k NodeKey) Verify(message, sig []byte) bool {
	return voi.VerifyWithOptions(voi.PublicKey(k[:]), message, sig, rules)
}

// Signature is a signature that was read and is still to be checked: alone with Check, or
// at half the cost with others by CheckSignatures.
type Signature struct {
	what    string
	signer  NodeKey
	message []byte
	bytes   []byte
}

// Signer is who is said to have signed.
func (s Signature) Signer() NodeKey { return s.signer }

// Check checks it.
//
// Errors: CodeRefused.
func (s Signature) Check() error {
	if !s.signer.Verify(s.message, s.bytes) {
		return s.wrong()
	}
	return nil
}

func (s Signature) wrong() error {
	return Errorf(CodeRefused, "the bytes were changed after signing, or come from another program", "%s: signature does not match", s.what)
}

// CheckSignatures checks many at once. The answer has an error for each that Check would
// refuse, at its place; nil: all hold. Some hundred at a time are best; memory is some
// 2 KB each.
func CheckSignatures(all []Signature) []error {
	if len(all) == 0 {
		return nil
	}
	v := voi.NewBatchVerifierWithCapacity(len(all))
	keys := map[NodeKey]*voi.ExpandedPublicKey{} // the same few keys sign much
	for _, s := range all {
		k, ok := keys[s.signer]
		if !ok {
			k, _ = voi.NewExpandedPublicKey(s.signer[:]) // nil for what is no key: refused below
			keys[s.signer] = k
		}
		if k != nil {
			v.AddExpandedWithOptions(k, s.message, s.bytes, rules)
			continue
		}
		v.AddWithOptions(s.signer[:], s.message, s.bytes, rules)
	}
	ok, each := v.Verify(nil)
	if ok {
		return nil
	}
	out := make([]error, len(all))
	for i, ok := range each {
		if !ok {
			out[i] = all[i].wrong()
		}
	}
	return out
}
