package clienttest

import (
	"context"
	"slices"

	"github.com/essaim/essaim"
)

// OpenSession is client.Ledger's.
func (n *Network) OpenSession(ctx context.Context, coordinator essaim.NodeKey, deposit essaim.Amount, key essaim.NodeKey, expiry int64) (essaim.SessionID, essaim.Tx, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.height++
	n.opened++
	id := essaim.SessionID(n.opened)
	n.sessions[id] = &escrow{Session: essaim.Session{
		ID: id, Coordinator: coordinator, Deposit: deposit, SessionKey: key, Opened: n.height, Expiry: expiry, State: essaim.SessionOpen,
	}}
	return id, essaim.Tx{Hash: "BEEF", Height: n.height}, ctx.Err()
}

// TopUp is client.Ledger's.
func (n *Network) TopUp(ctx context.Context, id essaim.SessionID, amount essaim.Amount) (essaim.Amount, essaim.Tx, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.sessions[id]
	if !ok || e.State != essaim.SessionOpen {
		return 0, essaim.Tx{}, essaim.Errorf(essaim.CodeConflict, "", "session %s is not open", id)
	}
	n.height++
	e.Deposit += amount
	return e.Deposit, essaim.Tx{Hash: "CAFE", Height: n.height}, ctx.Err()
}

// Session is client.Ledger's.
func (n *Network) Session(ctx context.Context, id essaim.SessionID) (essaim.Session, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.sessions[id]
	if !ok {
		return essaim.Session{}, essaim.Errorf(essaim.CodeNotFound, "", "session %s is not known", id)
	}
	return e.Session, ctx.Err()
}

// Actor is client.Ledger's.
func (n *Network) Actor(ctx context.Context, key essaim.NodeKey) (essaim.Actor, error) {
	if key == essaim.NodeKeyOf(n.key) {
		return essaim.Actor{Role: essaim.RoleCoordinator, NodeKey: key}, ctx.Err()
	}
	i := slices.IndexFunc(n.miners, func(m *miner) bool { return essaim.NodeKeyOf(m.node) == key })
	if i < 0 {
		return essaim.Actor{}, essaim.Errorf(essaim.CodeNotFound, "", "node %s is not registered", key.Short())
	}
	return essaim.Actor{
		Role: essaim.RoleMiner, NodeKey: key, HPKEKey: n.miners[i].hpke.PublicKey(),
		Offers: []essaim.Offer{{Model: n.Model.Digest, UnitPrice: Price}},
	}, ctx.Err()
}

// Height is client.Ledger's.
func (n *Network) Height(ctx context.Context) (int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.height, ctx.Err()
}
