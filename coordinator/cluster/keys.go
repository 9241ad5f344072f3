package cluster

import (
	"context"
	"errors"

	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/postgres"
)

// Keys are the API keys of a coordinator: each is one instance's at a time, which alone knows what is in memory of it. What it spends the rows decide, whoever has
// it.
type Keys struct{ m *Member }

// Keys are this instance's part of them.
func (m *Member) Keys() Keys { return Keys{m} }

// Own takes a key, unless another instance has it: then url is where, and gone is closed when that one was given up. took is called when
// it was taken and before anybody else gets it by Own.
//
// Errors: CodeUnavailable if this instance has not been heard of for too long, or leaves.
func (k Keys) Own(ctx context.Context, key string, took func() error) (url string, gone <-chan struct{}, err error) {
	err = k.m.keys.own(ctx, key, took)
	if away := elsewhereIn(err); away != nil {
		return away.URL, k.m.gone(away.Instance), nil
	}
	return "", nil, err
}

// Leave gives all keys to the others, and takes none any more.
func (k Keys) Leave() error { return k.m.keys.leave() }

// Space is tables of their own beside those of the log.
type Space struct {
	Name   string // of the server's schema
	Schema string // in the words of SQLite
	Own    string // what follows in PostgreSQL's own
	Turn   string // an expression that each transaction evaluates before it writes; "": none
	Reads  int    // connections that read, at most
}

// Beside opens more tables in the database that the instances share, written with the same right. The caller closes them before
// the Member; when they are lost it is, too.
func (m *Member) Beside(ctx context.Context, s Space) (durable.DB, error) {
	may := &durable.Stmt{Query: `SELECT essaim_may_write(?)` + after(s.Turn), Args: []any{m.id}}
	db, err := postgres.Open(ctx, postgres.Config{URL: m.cfg.DB, Name: m.id, Space: s.Name, Schema: s.made(), Own: s.Own, Fence: may, Reads: s.Reads})
	if err != nil {
		return nil, err
	}
	m.watching.Go(func() {
		select {
		case <-db.Lost():
			_, err := db.Write() // says why
			m.lose(err)
		case <-m.done:
		}
	})
	return db, nil
}

// made is the schema, made when no transaction is under way that has its turn: making tables and writing to them lock the same in another order.
func (s Space) made() string {
	if s.Turn == "" {
		return s.Schema
	}
	return "SELECT " + s.Turn + ";" + s.Schema
}

func after(turn string) string {
	if turn == "" {
		return ""
	}
	return ", " + turn
}

// Outside opens such tables for who is no instance. The caller closes them.
func Outside(ctx context.Context, url string, s Space) (durable.DB, error) {
	const name = "essaim-operator"
	first, err := postgres.Open(ctx, postgres.Config{URL: url, Name: name, Own: schema})
	if err == nil {
		err = first.Close()
	}
	if err != nil {
		return nil, errors.Join(errors.New("make the tables of instances"), err)
	}
	cfg := postgres.Config{URL: url, Name: name, Space: s.Name, Schema: s.made(), Own: s.Own}
	if s.Turn != "" {
		cfg.Fence = &durable.Stmt{Query: `SELECT ` + s.Turn}
	}
	return postgres.Open(ctx, cfg)
}
