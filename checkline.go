package essaim

import (
	"runtime"
	"sync"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// checkLine is where signatures meet that are checked at the same time: whoever comes
// first checks all that have come until then, the next checks those that came meanwhile.
// No goroutine is started and nobody waits for more to come.
type checkLine struct {
	mu      sync.Mutex
	busy    bool
	waiting []*inLine
	keys    map[NodeKey]*voi.ExpandedPublicKey // of those who signed lately
}

// inLine is a signature that waits.
type inLine struct {
	s    Signature
	turn chan bool // true: check those in line; false: err is set
	err  error
}

const (
	// maxTogether is how many are checked together: more only make the first one wait.
	maxTogether = 256

	// maxKeys bounds the keys that are remembered, 1.5 KB each; beyond it all are forgotten.
	maxKeys = 1 << 12
)

var together checkLine

// CheckTogether is Check for roles that have much to check at the same time, which costs
// half as much together. The answer is the same.
//
// Errors: CodeRefused.
func (s Signature) CheckTogether() error { return together.check(s) }

func (l *checkLine) check(s Signature) error {
	own := &inLine{s: s}
	l.mu.Lock()
	l.waiting = append(l.waiting, own)
	if l.busy {
		own.turn = make(chan bool, 1)
		l.mu.Unlock()
		if !<-own.turn {
			return own.err
		}
		l.mu.Lock()
	}
	l.busy = true
	l.mu.Unlock()
	runtime.Gosched() // those who were woken by the same event come into line, too
	l.mu.Lock()
	batch := l.waiting[:min(len(l.waiting), maxTogether)]
	l.waiting = l.waiting[len(batch):]
	keys := l.known(batch)
	l.mu.Unlock()
	checkAll(batch, keys)
	l.mu.Lock()
	if l.busy = len(l.waiting) > 0; l.busy {
		l.waiting[0].turn <- true
	}
	l.mu.Unlock()
	for _, w := range batch {
		if w != own {
			w.turn <- false
		}
	}
	return own.err
}

// known is the keys that a batch is checked with. l.mu is held.
func (l *checkLine) known(batch []*inLine) []*voi.ExpandedPublicKey {
	out := make([]*voi.ExpandedPublicKey, len(batch))
	for i, w := range batch {
		k, ok := l.keys[w.s.signer]
		if !ok {
			if l.keys == nil || len(l.keys) >= maxKeys {
				l.keys = map[NodeKey]*voi.ExpandedPublicKey{}
			}
			k, _ = voi.NewExpandedPublicKey(w.s.signer[:]) // nil for what is no key: refused below
			l.keys[w.s.signer] = k
		}
		out[i] = k
	}
	return out
}

// alone is how many signatures cost less one by one.
const alone = 2

func checkAll(batch []*inLine, keys []*voi.ExpandedPublicKey) {
	if len(batch) > alone {
		v := voi.NewBatchVerifierWithCapacity(len(batch))
		for i, w := range batch {
			if keys[i] == nil {
				v.AddWithOptions(w.s.signer[:], w.s.message, w.s.bytes, rules)
				continue
			}
			v.AddExpandedWithOptions(keys[i], w.s.message, w.s.bytes, rules)
		}
		if ok, each := v.Verify(nil); !ok {
			for i, ok := range each {
				if !ok {
					batch[i].err = batch[i].s.wrong()
				}
			}
		}
		return
	}
	for i, w := range batch {
		if keys[i] == nil || !voi.VerifyExpandedWithOptions(keys[i], w.s.message, w.s.bytes, rules) {
			w.err = w.s.wrong()
		}
	}
}
