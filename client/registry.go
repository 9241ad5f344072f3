package client

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/essaim/essaim"
)

// registryAge is how long a miner's record is believed without asking the ledger
// again: an old sealing key still belongs to the miner.
const registryAge = time.Minute

// registry remembers the ledger's sealing keys of miners. The zero value is ready.
type registry struct {
	mu    sync.Mutex
	known map[essaim.NodeKey]known
}

type known struct {
	hpke []byte
	at   time.Time
}

// check compares a candidate with the ledger's record of it.
//
// Errors: CodeRefused if the coordinator made it up, else the ledger's.
func (r *registry) check(ctx context.Context, ledger Ledger, c essaim.Candidate) error {
	r.mu.Lock()
	k, ok := r.known[c.Miner]
	r.mu.Unlock()
	if ok && time.Since(k.at) < registryAge && bytes.Equal(k.hpke, c.HPKEKey) {
		return nil
	}
	refuse := func(why string) error {
		return essaim.Errorf(essaim.CodeRefused, "use another coordinator: nothing was sent to this one", "the coordinator offers miner %s, %s", c.Miner.Short(), why)
	}
	actor, err := ledger.Actor(ctx, c.Miner)
	switch {
	case err != nil && essaim.CodeOf(err) == essaim.CodeNotFound:
		return refuse("which is not on the ledger")
	case err != nil:
		return err
	case actor.Role != essaim.RoleMiner || actor.RetiredAt != 0:
		return refuse("which is not an active miner")
	case len(actor.HPKEKey) == 0 || !bytes.Equal(actor.HPKEKey, c.HPKEKey):
		return refuse("with a sealing key that is not the miner's")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = make(map[essaim.NodeKey]known)
	}
	r.known[c.Miner] = known{hpke: actor.HPKEKey, at: time.Now()}
	return nil
}
