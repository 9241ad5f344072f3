package mem

import "github.com/essaim/essaim"

// Damage replaces what the store holds under d.
func (s *Store) Damage(d essaim.Digest, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[d] = b
}
