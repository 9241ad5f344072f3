// Package durable keeps rows in a SQLite file such that many small writes are safe
// and still fast: writes that wait at the same time become one transaction and share
// one flush of the disk (group commit).
//
// A write is on the disk when Write returns; kill -9 or a power cut after that does
// not lose it. The package knows nothing of what the rows mean.
//
// # Concurrency
//
// A File is safe for concurrent use. One goroutine, which Open starts and Close ends,
// does all writes; reads go beside it and see what was committed.
package durable

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"runtime"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxBatch bounds a transaction, so that the first write in it does not wait long.
const maxBatch = 256

// ErrClosed is returned by Write after Close.
var ErrClosed = errors.New("durable: file is closed")

// File is an open SQLite file.
type File struct {
	db     *sql.DB
	conn   *sql.Conn // the writer's own
	stmts  map[string]*sql.Stmt
	writes chan *write
	done   chan struct{} // closed when the writer has ended

	mu     sync.RWMutex // held for reading while a write is handed over
	closed bool         // guarded by mu

	reading sync.Mutex
	reads   map[string]*sql.Stmt // by query; guarded by reading
}

// Stmt is one statement of a write. Query texts are prepared once and kept: they
// come from a small, constant set, and values go into Args.
type Stmt struct {
	Query string
	Args  []any
}

// write is one change: statements that are done together or not at all.
type write struct {
	stmts    []Stmt
	patient  bool
	affected int64
	err      error
	done     chan struct{}
}

// checkpoint lets 16 MiB gather before pages are moved to where they belong: those that
// change often are moved once.
const checkpoint = "wal_autocheckpoint(4000)"

// Open opens or creates the file and runs schema, which must be repeatable. The
// caller closes the File.
func Open(path, schema string) (*File, error) {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)", checkpoint},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4) // the writer's and a few readers'
	conn, err := db.Conn(context.Background())
	if err == nil {
		_, err = conn.ExecContext(context.Background(), schema)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	f := &File{
		db: db, conn: conn, stmts: map[string]*sql.Stmt{}, reads: map[string]*sql.Stmt{},
		writes: make(chan *write, maxBatch), done: make(chan struct{}),
	}
	go f.writer()
	return f, nil
}

// Close ends the writer after the writes that wait, and frees the file. Closing again
// does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	again := f.closed
	f.closed = true
	f.mu.Unlock()
	if again {
		return nil
	}
	close(f.writes)
	<-f.done
	errs := make([]error, 0, len(f.stmts)+2)
	for _, s := range f.stmts {
		errs = append(errs, s.Close())
	}
	f.reading.Lock()
	defer f.reading.Unlock()
	for _, s := range f.reads {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, f.conn.Close(), f.db.Close())...)
}

// Write does statements together and makes them durable. It returns how many rows
// the first one changed. After an error none of them has happened. There is no
// context: what was begun is finished.
//
// Errors: ErrClosed after Close, else the database's.
func (f *File) Write(stmts ...Stmt) (affected int64, err error) {
	return f.Start(stmts...)()
}

// Start is Write in two steps: it puts the write into the line and returns at once, wait
// returns when the write is on the disk. Writes are done in the order in which they were
// started, so whoever holds a lock need not keep it while the disk works.
func (f *File) Start(stmts ...Stmt) (wait func() (affected int64, err error)) {
	return f.start(&write{stmts: stmts, done: make(chan struct{})})
}

// patience is how long a write that can wait does.
const patience = 5 * time.Millisecond

// StartPatient is Start for a write that nobody waits for just now: it goes with the next
// one that cannot wait, or alone after some milliseconds. The order stays.
func (f *File) StartPatient(stmts ...Stmt) (wait func() (affected int64, err error)) {
	return f.start(&write{stmts: stmts, patient: true, done: make(chan struct{})})
}

func (f *File) start(w *write) (wait func() (affected int64, err error)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return func() (int64, error) { return 0, ErrClosed }
	}
	f.writes <- w
	return func() (int64, error) {
		<-w.done
		return w.affected, w.err
	}
}

// Query reads rows; the caller closes them. Query texts are prepared once and kept, as
// those of a Stmt.
func (f *File) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := f.prepared(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRow reads at most one row.
func (f *File) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := f.prepared(query)
	if err != nil {
		return f.db.QueryRowContext(ctx, query, args...) // the row tells the error
	}
	return s.QueryRowContext(ctx, args...)
}

// prepared is a query's statement: reading a row takes less time than the parser does.
// No lock is held while it is prepared, which may wait for those who read.
func (f *File) prepared(query string) (*sql.Stmt, error) {
	f.reading.Lock()
	s := f.reads[query]
	f.reading.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := f.db.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	f.reading.Lock()
	defer f.reading.Unlock()
	if other := f.reads[query]; other != nil {
		return other, s.Close()
	}
	f.reads[query] = s
	return s, nil
}

// IsDuplicate reports whether a write failed because a value that must be unique is
// there already.
func IsDuplicate(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// IsRefused reports whether a write failed because a CHECK of the schema forbids the
// value.
func IsRefused(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_CHECK
}

func (f *File) writer() {
	defer close(f.done)
	for first := range f.writes {
		batch := f.gather(first)
		if err := f.commit(batch); err != nil {
			for _, w := range batch {
				w.err = err
			}
		}
		for _, w := range batch {
			close(w.done)
		}
	}
}

// gather takes what waits already, and what comes from goroutines that could run by now:
// they share the flush, and where nobody else has work this costs nothing. Only while all of
// it is patient it waits for more.
func (f *File) gather(first *write) []*write {
	batch, urgent, yielded := []*write{first}, !first.patient, false
	var late <-chan time.Time // made when it is needed
	for len(batch) < maxBatch {
		var w *write
		var ok bool
		select {
		case w, ok = <-f.writes:
			yielded = false
		default:
			if !yielded {
				yielded = true
				runtime.Gosched()
				continue
			}
			if urgent {
				return batch
			}
			if late == nil {
				late = time.After(patience)
			}
			select {
			case w, ok = <-f.writes:
			case <-late:
			}
		}
		if !ok {
			return batch
		}
		batch, urgent = append(batch, w), urgent || !w.patient
	}
	return batch
}

// commit does a batch in one transaction. A write that fails leaves no trace and does
// not hurt the others.
func (f *File) commit(batch []*write) error {
	err := f.try(batch, false)
	if errors.Is(err, errHalf) {
		err = f.try(batch, true)
	}
	return err
}

// errHalf says that a write has failed after its first statement, where no savepoint was.
var errHalf = errors.New("durable: half of a write is done")

// try does a batch in one transaction. Savepoints cost as much as statements and are
// needed only if one fails: without them the whole batch is undone then.
func (f *File) try(batch []*write, savepoints bool) error {
	if _, err := f.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, w := range batch {
		w.err, w.affected = nil, 0
		if err := f.apply(w, savepoints); err != nil {
			_, undo := f.exec("ROLLBACK")
			return errors.Join(err, undo)
		}
	}
	_, err := f.exec("COMMIT")
	if err != nil {
		_, _ = f.exec("ROLLBACK") // fails if COMMIT has rolled back itself
	}
	return err
}

// apply does one write. Its own failure is kept in it; the error says that the
// transaction is broken.
func (f *File) apply(w *write, savepoints bool) error {
	if len(w.stmts) == 1 { // a statement alone is all or nothing by itself
		w.affected, w.err = f.exec(w.stmts[0].Query, w.stmts[0].Args...)
		return nil
	}
	if !savepoints {
		for i, s := range w.stmts {
			n, err := f.exec(s.Query, s.Args...)
			switch {
			case err != nil && i > 0:
				return errHalf
			case err != nil:
				w.err = err
				return nil
			case i == 0:
				w.affected = n
			}
		}
		return nil
	}
	if _, err := f.exec("SAVEPOINT one"); err != nil {
		return err
	}
	for i, s := range w.stmts {
		n, err := f.exec(s.Query, s.Args...)
		if err != nil {
			w.err = err
			if _, err := f.exec("ROLLBACK TO one"); err != nil {
				return err
			}
			break
		}
		if i == 0 {
			w.affected = n
		}
	}
	_, err := f.exec("RELEASE one")
	return err
}

func (f *File) exec(query string, args ...any) (int64, error) {
	s, ok := f.stmts[query]
	if !ok {
		var err error
		if s, err = f.conn.PrepareContext(context.Background(), query); err != nil {
			return 0, err
		}
		f.stmts[query] = s
	}
	res, err := s.Exec(args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
