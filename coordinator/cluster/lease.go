package cluster

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// leases say which instance has what: rows of a thing and an instance. A lease of an instance that is not there is free.
type leases[K comparable] struct {
	m      *Member
	what   string      // a thing is, in errors
	table  string      // with the column instance, and
	column string      // of things
	arg    func(K) any // for the database

	taking sync.Mutex // one is taken after the other

	owned map[K]bool // guarded by Member.mu
	over  bool       // none is taken any more; guarded by Member.mu
}

// ElsewhereError says that a session, or a key, is another instance's.
type ElsewhereError struct {
	Instance string
	URL      string // of its gateway
	what     string
}

func (e *ElsewhereError) Error() string {
	return "the " + e.what + " is with another instance of the coordinator"
}

// own takes a thing, unless another instance has it. took is called when it was taken and before anybody else gets it by own; if
// it fails the thing is taken again by the next call.
//
// Errors: CodeUnavailable with an ElsewhereError, or if this instance has not been heard of for too long to be sure.
func (l *leases[K]) own(ctx context.Context, k K, took func() error) error {
	if mine, err := l.has(k); mine || err != nil {
		return err
	}
	if owner, err := l.owner(ctx, k); err != nil || !l.free(owner) { // nobody waits to be told so
		return cmp.Or(err, l.elsewhere(k, owner))
	}
	l.taking.Lock()
	defer l.taking.Unlock()
	if mine, err := l.has(k); mine || err != nil {
		return err
	}
	owner, err := l.owner(ctx, k)
	if err != nil {
		return err
	}
	if l.free(owner) {
		if l.isOver() {
			return essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "%s %v: this instance of the coordinator is stopping", l.what, k)
		}
		if err := l.take(k); err != nil {
			return err
		}
		if owner, err = l.owner(ctx, k); err != nil {
			return err
		}
	}
	if owner == nil || owner.Instance != l.m.id {
		return l.elsewhere(k, owner)
	}
	if err := took(); err != nil {
		return err
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.owned[k] = true
	return nil
}

// free reports whether a lease is nobody's, or about to be.
func (l *leases[K]) free(owner *ElsewhereError) bool {
	return owner == nil || owner.URL == "" || owner.Instance == l.m.id
}

func (l *leases[K]) elsewhere(k K, owner *ElsewhereError) error {
	if owner == nil {
		owner = &ElsewhereError{what: l.what}
	}
	return essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "%s %v: %w", l.what, k, owner)
}

// has reports whether a thing is this instance's. Whether it still is, is not known when its heartbeats were not heard for
// too long, as after a pause of the whole process.
func (l *leases[K]) has(k K) (bool, error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.unsure() {
		return false, essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "%s %v: this instance of the coordinator may have been given up by the others", l.what, k)
	}
	return l.owned[k], nil
}

func (l *leases[K]) isOver() bool {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.over
}

// owner is who has a thing; nil: nobody ever had it. One without URL is not there any more.
func (l *leases[K]) owner(ctx context.Context, k K) (*ElsewhereError, error) {
	e := ElsewhereError{what: l.what}
	err := l.m.beats.QueryRow(ctx, `SELECT l.instance, COALESCE(i.url, '') FROM `+l.table+` AS l LEFT JOIN instances AS i ON i.id = l.instance WHERE l.`+l.column+` = ?`, l.arg(k)).
		Scan(&e.Instance, &e.URL)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &e, err
}

// take writes this instance into the lease, if nobody who is there is in it. The row is locked before it is looked at who is there, as
// only a statement that begins then sees those who have come meanwhile.
func (l *leases[K]) take(k K) error {
	_, err := l.m.rows.Write(
		durable.Stmt{Query: `INSERT INTO ` + l.table + ` (` + l.column + `, instance) VALUES (?, ?) ON CONFLICT DO NOTHING`, Args: []any{l.arg(k), l.m.id}},
		durable.Stmt{Query: `SELECT 1 FROM ` + l.table + ` WHERE ` + l.column + ` = ? FOR UPDATE`, Args: []any{l.arg(k)}},
		durable.Stmt{
			Query: `UPDATE ` + l.table + ` SET instance = ? WHERE ` + l.column + ` = ? AND NOT EXISTS (SELECT 1 FROM instances WHERE id = ` + l.table + `.instance)`,
			Args:  []any{l.m.id, l.arg(k)},
		},
	)
	return err
}

// drop gives up a thing that is over.
func (l *leases[K]) drop(k K) {
	l.taking.Lock() // until this is in line, before what takes it again
	defer l.taking.Unlock()
	l.m.mu.Lock()
	mine := l.owned[k]
	delete(l.owned, k)
	l.m.mu.Unlock()
	if mine {
		l.m.rows.StartPatient(durable.Stmt{Query: `DELETE FROM ` + l.table + ` WHERE ` + l.column + ` = ? AND instance = ?`, Args: []any{l.arg(k), l.m.id}})
	}
}

// leave gives up all, for good.
func (l *leases[K]) leave() error {
	l.taking.Lock()
	defer l.taking.Unlock()
	l.m.mu.Lock()
	l.over = true
	clear(l.owned)
	l.m.mu.Unlock()
	_, err := l.m.rows.Write(durable.Stmt{Query: `DELETE FROM ` + l.table + ` WHERE instance = ?`, Args: []any{l.m.id}})
	return err
}
