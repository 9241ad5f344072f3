package essaim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"sync"
)

// right is a bounded memory of signatures that were found right, or made, in this process. It keeps
// between maxRight and twice as many, the newest.
type right struct {
	mu     sync.Mutex
	newer  map[fingerprint]struct{} // guarded by mu
	before map[fingerprint]struct{} // guarded by mu
}

const maxRight = 1 << 12

var found right

// fingerprint stands for a signature, with who has signed what: whatever differs in a bit has another.
type fingerprint [sha256.Size]byte

func (s Signature) fingerprint() fingerprint {
	h := sha256.New()
	h.Write(s.bytes) // lengths are fixed, but for the last
	h.Write(s.signer[:])
	h.Write(s.message)
	var f fingerprint
	h.Sum(f[:0])
	return f
}

func (r *right) knows(f fingerprint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.newer[f]
	if !ok {
		_, ok = r.before[f]
	}
	return ok
}

func (r *right) note(f fingerprint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.newer == nil || len(r.newer) >= maxRight {
		r.newer, r.before = make(map[fingerprint]struct{}, maxRight), r.newer
	}
	r.newer[f] = struct{}{}
}

// CheckOnce is CheckTogether for roles that may share a process, such as a gateway with its coordinator: a
// signature that this process has found right or made a moment ago is not checked again. The answer is the same.
//
// Errors: CodeRefused.
func (s Signature) CheckOnce() error {
	if len(s.bytes) != ed25519.SignatureSize {
		return s.wrong() // a fingerprint counts on the length
	}
	f := s.fingerprint()
	if found.knows(f) {
		return nil
	}
	err := s.CheckTogether()
	if err == nil {
		found.note(f)
	}
	return err
}
