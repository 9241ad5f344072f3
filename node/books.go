package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/cluster"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/batch"
	"github.com/essaim/essaim/gateway/relay"
	"github.com/essaim/essaim/web"
)

// books is where API keys are in a database that several instances share.
var books = cluster.Space{Name: "books", Schema: apikey.SharedSchema, Own: apikey.SharedOwn, Turn: apikey.Turn, Reads: 6}

// gifts is where it is who was given coins.
var gifts = cluster.Space{Name: "faucet", Schema: web.FaucetSchema, Turn: web.FaucetTurn, Reads: 1}

// batchSpace is where batches are.
var batchSpace = cluster.Space{Name: "batches", Schema: batch.Schema, Reads: 2}

// openKeys opens the API keys of a coordinator that runs, and says which instance has which; nil: there is one.
func (n *Node) openKeys(ctx context.Context, m *cluster.Member) (*apikey.Store, relay.Owners, error) {
	if m == nil {
		keys, err := apikey.OpenServing(filepath.Join(n.cfg.Dir, KeysFile))
		return keys, nil, err
	}
	rows, err := m.Beside(ctx, books)
	if err != nil {
		return nil, nil, essaim.Errorf(essaim.CodeUnavailable, "is the database running, and may its user make schemas?", "open the API keys: %w", err)
	}
	return apikey.OnShared(rows, m.ID()), m.Keys(), nil
}

// Books are a coordinator's API keys and its log, for its operator. They are in the coordinator's folder, or in the database that its instances
// share.
type Books struct {
	Dir string
	DB  string // postgres://…; "": what the folder's node.toml says
}

// shared is the database; "": there is none.
//
// Errors: CodeBadInput if the folder's configuration cannot be read.
func (b Books) shared() (string, error) {
	if b.DB != "" {
		return b.DB, nil
	}
	cfg, err := Load(b.Dir)
	switch {
	case essaim.CodeOf(err) == essaim.CodeNotFound:
		return "", nil
	case err != nil || cfg.Coordinator == nil:
		return "", err
	}
	return cfg.Coordinator.DB, nil
}

// Keys opens the keys. The caller closes them.
func (b Books) Keys(ctx context.Context) (*apikey.Store, error) {
	db, err := b.shared()
	if err != nil {
		return nil, err
	}
	if db == "" {
		keys, err := apikey.Open(filepath.Join(b.Dir, KeysFile))
		if err != nil {
			return nil, err
		}
		if err := atHome(b.Dir); err != nil {
			return nil, errors.Join(err, keys.Close())
		}
		return keys, nil
	}
	rows, err := cluster.Outside(ctx, db, books)
	if err != nil {
		return nil, unreachable(err)
	}
	return apikey.OnShared(rows, ""), nil
}

// Log opens the log; nil if there is none. The caller closes it.
func (b Books) Log(ctx context.Context) (*receiptlog.Log, error) {
	db, err := b.shared()
	if err != nil {
		return nil, err
	}
	if db != "" {
		rows, err := cluster.Outside(ctx, db, cluster.Space{}) // whose tables the instances make
		if err != nil {
			return nil, unreachable(err)
		}
		return receiptlog.On(rows), nil
	}
	path := filepath.Join(b.Dir, LogFile)
	if _, err := os.Stat(path); err != nil {
		if os.IsNotExist(err) {
			return nil, nil
		}
		return nil, essaim.Errorf(essaim.CodeInternal, "", "coordinator's log: %w", err)
	}
	return receiptlog.Open(path)
}

func unreachable(err error) error {
	return essaim.Errorf(essaim.CodeUnavailable, "is the database running, and its URL right?", "open the coordinator's database: %w", err)
}
