// Package cluster makes one coordinator of several instances, each a process with the coordinator's node
// key, on one PostgreSQL database. A session is owned by one instance at a time, which alone admits its tasks, keeps
// its book and settles it; so nothing on a task's way waits for another instance.
//
// An instance is a row that its heartbeats renew. One whose row is old is given up by whoever sees it first: its row is
// deleted, and from then on none of its transactions succeeds, since each begins with a lock on that row (the fence). Its sessions are
// free, and the next one who is asked for one takes it and goes on from the rows.
//
// The package must not know what a task is, except to pass it to the instance that owns its session.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/postgres"
	"github.com/essaim/essaim/transport"
)

// schema: instances that may write, and who owns a session or an API key.
const schema = `
CREATE TABLE IF NOT EXISTS instances (
	id    TEXT PRIMARY KEY, -- drawn at each start
	url   TEXT NOT NULL,    -- of its gateway, for the others
	peers TEXT NOT NULL,    -- multiaddresses for miners, a line each
	beat  TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS leases (
	session  BIGINT PRIMARY KEY,
	instance TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS keyleases (
	key      TEXT PRIMARY KEY, -- its ID
	instance TEXT NOT NULL
);
CREATE OR REPLACE FUNCTION essaim_may_write(me TEXT) RETURNS VOID AS $$ BEGIN
	PERFORM 1 FROM instances WHERE id = me FOR KEY SHARE; -- which a beat's UPDATE does not wait for, and a DELETE does
	IF NOT FOUND THEN RAISE EXCEPTION 'instance % was given up by the others', me; END IF;
END $$ LANGUAGE plpgsql;
`

const (
	standardBeat = 2 * time.Second
	missedBeats  = 2 // so many, and an instance is gone
	slack        = 500 * time.Millisecond
)

// Config says which database, and who joins.
type Config struct {
	DB     string        // postgres://…
	URL    string        // by which the other instances reach this one's gateway
	Beat   time.Duration // between heartbeats, the same for all instances; default 2 s
	Schema string        // of tables beside the log's, that are written with the same right
	Own    string        // what follows in PostgreSQL's own words
	Logger *slog.Logger  // nil: silent
}

// Member is an instance among those that share a database. Make it with Join; it is safe for concurrent use.
type Member struct {
	cfg   Config
	id    string
	log   *slog.Logger
	rows  *postgres.DB // whoever is given up cannot write to them
	beats *postgres.DB // apart, as a beat must not wait for a long line

	stop context.CancelFunc
	done chan struct{} // closed when no beat comes any more
	lost chan struct{}

	watching sync.WaitGroup // of what else is lost with the instance

	sessions *leases[essaim.SessionID]
	keys     *leases[string]

	mu     sync.Mutex
	others map[string]*other    // the instances besides this one, by ID; guarded by mu
	beat   time.Time            // when the last one that succeeded began; guarded by mu
	peers  []string             // guarded by mu
	places []transport.Instance // where miners reach all, never changed in place; guarded by mu
	placed uint64               // counts their changes; guarded by mu
	why    error                // of lost; guarded by mu
}

// other is another instance.
type other struct {
	url   string
	peers []string
	gone  chan struct{} // closed when it was given up
}

// Join makes this process one of the instances, and begins its heartbeats. The caller closes the Member.
func Join(ctx context.Context, cfg Config) (_ *Member, err error) {
	if cfg.Beat == 0 {
		cfg.Beat = standardBeat
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Member{
		cfg: cfg, id: "essaim-" + rand.Text(), done: make(chan struct{}), lost: make(chan struct{}),
		others: map[string]*other{},
	}
	m.sessions = &leases[essaim.SessionID]{m: m, what: "session", table: "leases", column: "session", arg: func(id essaim.SessionID) any { return int64(id) }, owned: map[essaim.SessionID]bool{}}
	m.keys = &leases[string]{m: m, what: "key", table: "keyleases", column: "key", arg: func(id string) any { return id }, owned: map[string]bool{}}
	m.log = cfg.Logger.With("instance", m.id)
	if m.beats, err = postgres.Open(ctx, postgres.Config{URL: cfg.DB, Name: m.id, Schema: receiptlog.Schema + cfg.Schema, Own: schema + cfg.Own, Reads: 4}); err != nil {
		return nil, err
	}
	m.beat = time.Now()
	if _, err := m.beats.Write(durable.Stmt{Query: `INSERT INTO instances (id, url, peers) VALUES (?, ?, '')`, Args: []any{m.id, cfg.URL}}); err != nil {
		return nil, errors.Join(err, m.beats.Close())
	}
	fence := &durable.Stmt{Query: `SELECT essaim_may_write(?)`, Args: []any{m.id}}
	if m.rows, err = postgres.Open(ctx, postgres.Config{URL: cfg.DB, Name: m.id, Fence: fence}); err != nil {
		return nil, errors.Join(err, m.leave())
	}
	life, stop := context.WithCancel(context.Background())
	m.stop = stop
	if err := m.look(life); err != nil {
		stop()
		return nil, errors.Join(err, m.rows.Close(), m.leave())
	}
	go m.keep(life)
	return m, nil
}

// leave takes the instance off the list: its sessions are free.
func (m *Member) leave() error {
	_, err := m.beats.Write(durable.Stmt{Query: `DELETE FROM instances WHERE id = ?`, Args: []any{m.id}})
	return errors.Join(err, m.beats.Close())
}

// Close writes what waits, gives the sessions to the others, and ends the heartbeats.
func (m *Member) Close() error {
	err := m.rows.Close()
	m.stop()
	<-m.done
	m.watching.Wait()
	if m.isLost() != nil {
		_ = m.beats.Close() // whose connection may have been cut
		return err
	}
	return errors.Join(err, m.leave())
}

// Rows is the database, fenced: once this instance is given up, no write succeeds. The Member closes it.
func (m *Member) Rows() durable.DB { return rows{m.rows} }

// rows are closed by the Member alone.
type rows struct{ *postgres.DB }

// Close does nothing.
func (rows) Close() error { return nil }

// Store is the log in these rows.
func (m *Member) Store() (*receiptlog.Log, error) { return receiptlog.On(m.Rows()), nil }

// ID names the instance until it ends.
func (m *Member) ID() string { return m.id }

// Lost is closed when this instance may not write any more; Why says why.
func (m *Member) Lost() <-chan struct{} { return m.lost }

// Why says why the instance was lost; nil: it is not.
func (m *Member) Why() error { return m.isLost() }

func (m *Member) isLost() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.why
}

// Serve tells the other instances, and by them miners, where miners reach this one.
func (m *Member) Serve(peers []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peers = peers
	m.place()
}

// Places lists where miners reach the instances that are there, this one among them, and at which change that was; nil: nothing has changed since seen.
func (m *Member) Places(seen uint64) (list []transport.Instance, at uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seen == m.placed {
		return nil, seen
	}
	return m.places, m.placed
}

// place takes note of who is where. m.mu is held.
func (m *Member) place() {
	all := []transport.Instance{{Name: m.id, Addrs: m.peers}}
	for id, o := range m.others {
		all = append(all, transport.Instance{Name: id, Addrs: o.peers})
	}
	all = slices.DeleteFunc(all, func(i transport.Instance) bool { return len(i.Addrs) == 0 }) // it is only starting
	slices.SortFunc(all, func(a, b transport.Instance) int { return strings.Compare(a.Name, b.Name) })
	if !slices.EqualFunc(all, m.places, func(a, b transport.Instance) bool { return a.Name == b.Name && slices.Equal(a.Addrs, b.Addrs) }) {
		m.places = all
		m.placed++
	}
}

// Instances is how many there are, this one among them.
func (m *Member) Instances() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return 1 + len(m.others)
}

// Others lists the sessions that other instances have.
func (m *Member) Others(ctx context.Context) (map[essaim.SessionID]bool, error) {
	found, err := m.rows.Query(ctx, `SELECT l.session FROM leases AS l JOIN instances AS i ON i.id = l.instance WHERE i.id <> ?`, m.id)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	out := map[essaim.SessionID]bool{}
	for found.Next() {
		var id int64
		if err := found.Scan(&id); err != nil {
			return nil, err
		}
		out[essaim.SessionID(id)] = true
	}
	return out, found.Err()
}

// Peers lists where miners reach the other instances.
func (m *Member) Peers() (out []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.others {
		out = append(out, o.peers...)
	}
	return out
}

// keep beats until ctx ends, or the instance is lost.
func (m *Member) keep(ctx context.Context) {
	defer close(m.done)
	tick := time.NewTicker(m.cfg.Beat)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-m.lost:
			return
		case <-m.rows.Lost():
			_, err = m.rows.Write()
		case <-tick.C:
			err = m.look(ctx)
		}
		if err != nil && ctx.Err() == nil {
			m.lose(err)
			return
		}
	}
}

func (m *Member) lose(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.why != nil {
		return
	}
	m.why = fmt.Errorf("this instance is no more: %w", why)
	m.log.Error("instance lost", "err", why)
	close(m.lost)
}

// unsure reports whether others may have given this instance up. m.mu is held.
func (m *Member) unsure() bool { return m.why != nil || time.Since(m.beat) > m.patience() }

// patience is how old a beat may be.
func (m *Member) patience() time.Duration { return missedBeats*m.cfg.Beat + min(slack, m.cfg.Beat) }

var errGivenUp = errors.New("the others have given it up: its heartbeats did not come in time")

// look is one heartbeat: it renews this instance, gives up those that are late, and sees who is there.
func (m *Member) look(ctx context.Context) error {
	m.mu.Lock()
	peers := strings.Join(m.peers, "\n")
	m.mu.Unlock()
	began := time.Now()
	n, err := m.beats.Write(durable.Stmt{Query: `UPDATE instances SET beat = now(), peers = ? WHERE id = ?`, Args: []any{peers, m.id}})
	switch {
	case err != nil:
		return err
	case n == 0:
		return errGivenUp
	}
	late := m.patience().Microseconds()
	// The transaction that one of them may have open would be waited for: its connections are cut first.
	if _, err := m.beats.Write(
		durable.Stmt{Query: `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a JOIN instances AS i ON a.application_name = i.id
			WHERE i.id <> ? AND i.beat < now() - ?::BIGINT * INTERVAL '1 microsecond'`, Args: []any{m.id, late}},
		durable.Stmt{Query: `DELETE FROM instances WHERE id <> ? AND beat < now() - ?::BIGINT * INTERVAL '1 microsecond'`, Args: []any{m.id, late}},
	); err != nil {
		return err
	}
	seen, err := m.list(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.beat = began
	for id, o := range m.others {
		if seen[id] == nil {
			m.log.Info("another instance is gone", "other", id, "url", o.url)
			close(o.gone)
			delete(m.others, id)
		}
	}
	defer m.place()
	for id, o := range seen {
		if have := m.others[id]; have != nil {
			have.peers = o.peers
			continue
		}
		m.log.Info("another instance", "other", id, "url", o.url)
		m.others[id] = o
	}
	return nil
}

func (m *Member) list(ctx context.Context) (map[string]*other, error) {
	found, err := m.beats.Query(ctx, `SELECT id, url, peers FROM instances WHERE id <> ?`, m.id)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	out := map[string]*other{}
	for found.Next() {
		var id, peers string
		o := &other{gone: make(chan struct{})}
		if err := found.Scan(&id, &o.url, &peers); err != nil {
			return nil, err
		}
		o.peers = strings.Fields(peers)
		out[id] = o
	}
	return out, found.Err()
}

// Own takes a session, unless another instance has it: see leases.own.
func (m *Member) Own(ctx context.Context, id essaim.SessionID, took func() error) error {
	return m.sessions.own(ctx, id, took)
}

// Drop gives up a session that is over.
func (m *Member) Drop(id essaim.SessionID) { m.sessions.drop(id) }
