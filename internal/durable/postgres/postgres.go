// Package postgres keeps rows on a PostgreSQL server as package durable keeps them in a file:
// writes that wait at the same time become one transaction. Several programs may write to a
// database; Config.Fence says which of them may.
//
// A lost connection is not mended: whether the last transaction was committed is then not
// known, and the program that holds the DB must be as if it had crashed. Each later write
// says so (ErrLost), and Lost is closed.
//
// # Concurrency
//
// A DB is safe for concurrent use. One goroutine, which Open starts and Close ends, does all
// writes, on a connection of its own; reads go beside it and see what was written before.
package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/essaim/essaim/internal/durable"
)

const (
	maxBatch = 1024         // writes in a transaction
	maxLine  = 8 * maxBatch // writes that may wait before those who start more have to
	maxReads = 8            // connections that read, unless Config.Reads says otherwise

	// patience is how long a write that can wait does.
	patience = 5 * time.Millisecond

	// answerTime bounds a transaction. A server that does not answer for so long is lost.
	answerTime = 30 * time.Second
)

// ErrLost is returned by writes after the server was lost or the fence has closed. The last
// ones before may have happened or not.
var ErrLost = fmt.Errorf("postgres: %w for this program", durable.ErrLost)

// Config says which database, and who writes.
type Config struct {
	URL    string // postgres://…
	Name   string // that the server knows the connections by, at most 63 bytes
	Schema string // repeatable, in the words of SQLite: see Words
	Own    string // what follows in PostgreSQL's own words, repeatable, too

	// Space is the server's schema, a space of names, that the tables are in, and that is looked in before the one of everybody; it is made
	// if need be. "": the one of everybody.
	Space string

	Reads int // connections that read, at most; 0: 8

	// Fence is done at the beginning of each transaction: where it fails, the transaction is
	// undone and the DB lost. nil: everybody may write.
	Fence *durable.Stmt
}

// DB is a durable.DB. Make it with Open.
type DB struct {
	fence *durable.Stmt
	conn  *pgx.Conn // the writer's own
	reads *sql.DB
	texts sync.Map // queries with ? to those with $n
	wake  chan struct{}
	done  chan struct{} // closed when the writer has ended
	lost  chan struct{} // closed when nothing can be written any more

	mu     sync.Mutex
	room   *sync.Cond
	line   []*write  // guarded by mu
	due    time.Time // when the first of them is to be written; guarded by mu
	closed bool      // guarded by mu
	why    error     // of lost; guarded by mu

	behind atomic.Int64 // writes that were appended and are not there yet
}

var _ durable.DB = (*DB)(nil)

// write is one change: statements that are done together or not at all.
type write struct {
	stmts    []durable.Stmt
	affected int64
	err      error
	done     chan struct{}
	appended bool
}

// Open connects, and makes what the schema says. The caller closes the DB.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cc, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	cc.RuntimeParams["application_name"] = cfg.Name
	cc.StatementCacheCapacity = 512
	schema := Words(cfg.Schema) + cfg.Own
	if cfg.Space != "" {
		cc.RuntimeParams["search_path"] = cfg.Space + "," + cmp.Or(cc.RuntimeParams["search_path"], `"$user",public`)
		schema = "CREATE SCHEMA IF NOT EXISTS " + cfg.Space + ";" + schema
	}
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := create(ctx, conn, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: make the tables: %w", err), conn.Close(ctx))
	}
	d := &DB{
		fence: cfg.Fence, conn: conn, reads: stdlib.OpenDB(*cc),
		wake: make(chan struct{}, 1), done: make(chan struct{}), lost: make(chan struct{}),
	}
	reads := cmp.Or(cfg.Reads, maxReads)
	d.reads.SetMaxOpenConns(reads)
	d.reads.SetMaxIdleConns(reads)
	d.room = sync.NewCond(&d.mu)
	go d.writer()
	return d, nil
}

// creating is the number of the server's lock under which tables are made: two programs that make
// the same one at the same time would get in each other's way.
const creating = 0x65737361

// deadlock is what the server calls it when transactions wait for each other.
const deadlock = "40P01"

func create(ctx context.Context, conn *pgx.Conn, schema string) error {
	if schema == "" {
		return nil
	}
	text := fmt.Sprintf("BEGIN; SELECT pg_advisory_xact_lock(%d); %s; COMMIT", creating, schema)
	for {
		err := conn.PgConn().Exec(ctx, text).Close()
		var why *pgconn.PgError
		if !errors.As(err, &why) || why.Code != deadlock {
			return err
		}
		// It and somebody who writes to tables that are there had locked them in another order. The server has undone
		// this one of the two, so that the other goes on.
		if err := conn.PgConn().Exec(ctx, "ROLLBACK").Close(); err != nil {
			return err
		}
	}
}

// words are the types and options that the two databases call differently.
var words = strings.NewReplacer(" INTEGER", " BIGINT", " BLOB", " BYTEA", " REAL", " DOUBLE PRECISION", " STRICT, WITHOUT ROWID", "", " WITHOUT ROWID", "", " STRICT,", ",", " STRICT", "")

// Words says a schema of SQLite in PostgreSQL's words. Keys that SQLite draws by itself,
// triggers and functions are not translated.
func Words(schema string) string { return words.Replace(schema) }

// Lost is closed when nothing can be written any more.
func (d *DB) Lost() <-chan struct{} { return d.lost }

// Close ends the writer after the writes that wait, and the connections. Closing again does
// nothing.
func (d *DB) Close() error {
	d.mu.Lock()
	again := d.closed
	d.closed = true
	d.room.Broadcast()
	d.mu.Unlock()
	if again {
		return nil
	}
	d.poke()
	<-d.done
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	err := d.reads.Close()
	if !d.isLost() {
		err = errors.Join(err, d.conn.Close(ctx))
	}
	return err
}

// Write is durable.File.Write.
//
// Errors: durable.ErrClosed after Close, ErrLost, else the server's.
func (d *DB) Write(stmts ...durable.Stmt) (affected int64, err error) { return d.Start(stmts...)() }

// Start is durable.File.Start.
func (d *DB) Start(stmts ...durable.Stmt) (wait func() (affected int64, err error)) {
	return d.start(&write{stmts: stmts}, 0)
}

// StartPatient is durable.File.StartPatient.
func (d *DB) StartPatient(stmts ...durable.Stmt) (wait func() (affected int64, err error)) {
	return d.start(&write{stmts: stmts}, patience)
}

// Append is durable.File.Append. What is appended is written at once, since it is the flush of the disk that
// costs here, and not the rows.
func (d *DB) Append(stmts ...durable.Stmt) (wait func() error) { return d.append(stmts, 0) }

// AppendPatient is durable.File.AppendPatient.
func (d *DB) AppendPatient(stmts ...durable.Stmt) (wait func() error) {
	return d.append(stmts, patience)
}

func (d *DB) append(stmts []durable.Stmt, patience time.Duration) (wait func() error) {
	d.behind.Add(1)
	stored := d.start(&write{stmts: stmts, appended: true}, patience)
	return func() error {
		_, err := stored()
		return err
	}
}

func (d *DB) start(w *write, patience time.Duration) (wait func() (int64, error)) {
	w.done = make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.line) >= maxLine && !d.closed && d.why == nil {
		d.room.Wait()
	}
	err := d.why
	if d.closed {
		err = durable.ErrClosed
	}
	if err != nil {
		w.end(d, err)
		return func() (int64, error) { return 0, err }
	}
	due := time.Now().Add(patience)
	if len(d.line) == 0 || due.Before(d.due) {
		d.due = due
		d.poke()
	}
	d.line = append(d.line, w)
	return func() (int64, error) {
		<-w.done
		return w.affected, w.err
	}
}

// end tells those who wait how a write went.
func (w *write) end(d *DB, err error) {
	if w.err == nil {
		w.err = err
	}
	if w.err != nil {
		w.affected = 0
	}
	if w.appended {
		d.behind.Add(-1)
	}
	close(w.done)
}

func (d *DB) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Query is durable.File.Query.
func (d *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := d.level(); err != nil {
		return nil, err
	}
	return d.reads.QueryContext(ctx, d.text(query), args...)
}

// QueryRow is durable.File.QueryRow.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if err := d.level(); err != nil {
		refused, cancel := context.WithCancelCause(ctx)
		cancel(err)
		ctx = refused
	}
	return d.reads.QueryRowContext(ctx, d.text(query), args...)
}

// level waits until what was appended is in the rows.
func (d *DB) level() error {
	if d.behind.Load() == 0 {
		return nil
	}
	_, err := d.Write()
	return err
}

// text numbers a query's arguments. No text here has a question mark in a literal.
func (d *DB) text(query string) string {
	if t, ok := d.texts.Load(query); ok {
		return t.(string)
	}
	t := numbered(query)
	d.texts.Store(query, t)
	return t
}

func numbered(query string) string {
	var b strings.Builder
	parts := strings.Split(query, "?")
	for i, p := range parts {
		b.WriteString(p)
		if i+1 < len(parts) {
			b.WriteString("$" + strconv.Itoa(i+1))
		}
	}
	return b.String()
}
