// Package durable keeps rows in a SQLite file such that many small writes are safe
// and still fast: writes that wait at the same time become one transaction and share
// one flush of the disk (group commit).
//
// A write is on the disk when Write returns; kill -9 or a power cut after that does
// not lose it. The package knows nothing of what the rows mean.
//
// What nothing in the file can refuse may go ahead of the rows (Append): it is safe as soon as
// it is in a log beside the file, which costs a tenth of a transaction, and gets into the rows
// with some hundred others. Reads wait for that.
//
// # Concurrency
//
// A File is safe for concurrent use. One goroutine, which Open starts and Close ends,
// does all writes, and one more the log ahead of them; reads go beside them and see what was
// written before. Several processes may have a file open; one of them may append.
package durable

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// maxBatch bounds a transaction, so that the first write in it does not wait long.
	maxBatch = 1024

	// maxLine is how many writes may wait for the writer before those who start more have to.
	maxLine = 8 * maxBatch
)

// ErrClosed is returned by Write after Close.
var ErrClosed = errors.New("durable: file is closed")

// ErrLost is in what a database on a server returns once this program cannot write to it any more.
var ErrLost = errors.New("the database is lost")

// File is an open SQLite file.
type File struct {
	db    *sql.DB
	conn  *sql.Conn // the writer's own
	stmts map[string]*sql.Stmt
	done  chan struct{} // closed when the writer has ended
	wake  chan struct{} // filled when the writer is to look at the line

	mu     sync.Mutex
	room   *sync.Cond // there may be room in line
	line   []*write   // what waits for the writer, in order; guarded by mu
	due    time.Time  // when the first of them is to be written; guarded by mu
	closed bool       // guarded by mu
	stuck  error      // why the rows do not take what was appended; guarded by mu
	ahead  *ahead     // nil: nothing was appended yet; guarded by mu
	newest uint64     // number of the last write in the log ahead; guarded by mu

	barrier uint64 // what newest was when somebody last wrote or read the rows; guarded by mu

	behind atomic.Int64 // writes that were appended and are not in the rows

	claim *os.File // locked, for as long as the file is open; nil: others may append

	path    string
	reading sync.Mutex
	reads   map[string]*sql.Stmt // by query; guarded by reading
}

// Stmt is one statement of a write. Query texts are prepared once and kept: they
// come from a small, constant set, and values go into Args.
type Stmt struct {
	Query string
	Args  []any

	// Latest names what the statement says in whole, whatever was said before; "": nothing. Of appended statements with
	// the same Query and Latest, between which nobody has written or read the rows, the last alone need get into the
	// rows, so no other that is appended may look at what the statement writes.
	Latest string
}

// write is one change: statements that are done together or not at all.
type write struct {
	stmts    []Stmt
	due      time.Time
	affected int64
	err      error
	done     chan struct{} // closed when it is in the rows, or will never be

	number uint64        // in the log ahead; 0: it is not for it
	safe   chan struct{} // closed when it is there
	taken  bool          // the writer has it; guarded by File.mu
	void   bool          // the rows do without; not changed once it is taken
}

// checkpoint lets 16 MiB gather before pages are moved to where they belong: those that
// change often are moved once.
const checkpoint = "wal_autocheckpoint(4000)"

// Open opens or creates the file and runs schema, which must be repeatable. The
// caller closes the File.
func Open(path, schema string) (*File, error) { return open(path, schema, nil) }

// OpenFirst is Open for Enter: of several Files of OpenFirst, in this process or others, the first may append until it is closed.
func OpenFirst(path, schema string) (*File, error) {
	claim, err := os.OpenFile(aheadPath(path, 0), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if !lock(claim) {
		if err := claim.Close(); err != nil {
			return nil, err
		}
		return open(path, schema, nil)
	}
	f, err := open(path, schema, claim) // what others have appended is brought in when nobody can any more
	if err != nil {
		err = errors.Join(err, claim.Close())
	}
	return f, err
}

// First reports whether Enter appends: it is for as long as the file is open.
func (f *File) First() bool { return f.claim != nil }

func open(path, schema string, claim *os.File) (*File, error) {
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
		done: make(chan struct{}), wake: make(chan struct{}, 1), path: path, claim: claim,
	}
	f.room = sync.NewCond(&f.mu)
	if err := f.catchUp(); err != nil {
		return nil, errors.Join(err, f.free())
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
	f.room.Broadcast()
	f.mu.Unlock()
	if again {
		return nil
	}
	f.poke()
	<-f.done
	err := f.ahead.close() // nobody appends any more
	err = errors.Join(err, f.free())
	if f.claim != nil {
		err = errors.Join(err, f.claim.Close())
	}
	return err
}

func (f *File) free() error {
	var errs []error
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
	return f.start(stmts, 0)
}

// patience is how long a write that can wait does.
const patience = 5 * time.Millisecond

// StartPatient is Start for a write that nobody waits for just now: it goes with the next
// one that cannot wait, or alone after some milliseconds. The order stays.
func (f *File) StartPatient(stmts ...Stmt) (wait func() (affected int64, err error)) {
	return f.start(stmts, patience)
}

func (f *File) start(stmts []Stmt, patience time.Duration) (wait func() (affected int64, err error)) {
	w := &write{stmts: stmts, due: time.Now().Add(patience), done: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(w); err != nil {
		return func() (int64, error) { return 0, err }
	}
	return func() (int64, error) {
		<-w.done
		return w.affected, w.err
	}
}

// enter puts a write into the line. f.mu is held.
func (f *File) enter(w *write) error {
	for len(f.line) >= maxLine && !f.closed {
		f.room.Wait()
	}
	if f.closed {
		return ErrClosed
	}
	if w.number == 0 {
		f.barrier = f.newest
	}
	if len(f.line) == 0 || w.due.Before(f.due) {
		f.due = w.due
		f.poke()
	}
	if f.line = append(f.line, w); len(f.line) == maxBatch {
		f.poke()
	}
	return nil
}

// poke has the writer look at the line.
func (f *File) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Query reads rows; the caller closes them. Query texts are prepared once and kept, as
// those of a Stmt.
func (f *File) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := f.level(); err != nil {
		return nil, err
	}
	s, err := f.prepared(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRow reads at most one row.
func (f *File) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if err := f.level(); err != nil {
		ctx = refused(ctx, err)
	}
	return f.Glance(ctx, query, args...)
}

// Glance is QueryRow that waits for nothing, for tables that nobody appends to.
func (f *File) Glance(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := f.prepared(query)
	if err != nil {
		return f.db.QueryRowContext(ctx, query, args...) // the row tells the error
	}
	return s.QueryRowContext(ctx, args...)
}

// level waits until what was appended is in the rows.
func (f *File) level() error {
	if f.behind.Load() == 0 {
		return nil
	}
	_, err := f.Write()
	return err
}

// refused is a context that has ended with err, which a query then answers.
func refused(ctx context.Context, err error) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	cancel(err)
	return ctx
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
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) || hasState(err, "23505")
}

// IsRefused reports whether a write failed because a CHECK of the schema forbids the
// value.
func IsRefused(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_CHECK || hasState(err, "23514")
}

// hasState reports whether a server has failed with one of the states that the SQL standard names.
func hasState(err error, state string) bool {
	var e interface{ SQLState() string }
	return errors.As(err, &e) && e.SQLState() == state
}

func (f *File) writer() {
	defer close(f.done)
	for batch := f.gather(); len(batch) > 0; batch = f.gather() {
		err := f.commit(batch)
		f.mu.Lock()
		f.stuck = nil
		closed := f.closed
		f.mu.Unlock()
		var again []*write
		for _, w := range batch {
			switch {
			case err != nil && w.number != 0 && !closed:
				again = append(again, w)
				continue
			case err != nil:
				w.err = err
			case w.number != 0:
				f.behind.Add(-1)
			}
			close(w.done)
		}
		if len(again) > 0 {
			f.insist(again, err)
		}
	}
}

// insist puts appended writes back into the line: they have happened, whatever the rows say.
func (f *File) insist(again []*write, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stuck = why
	for _, w := range again {
		w.due = time.Now().Add(retry)
	}
	f.line = append(again, f.line...)
	f.due = f.line[0].due
}

// gather takes what is in line when the first of it is due, with what comes from goroutines
// that could run by now: they share the flush, and where nobody else has work this costs
// nothing. It returns nothing when the file is closed and all is written.
func (f *File) gather() []*write {
	for seen := 0; ; {
		f.mu.Lock()
		n, closed, left := len(f.line), f.closed, time.Until(f.due)
		if n >= maxBatch || n > 0 && n == seen {
			defer f.mu.Unlock()
			return f.take()
		}
		f.mu.Unlock()
		switch {
		case n == 0 && closed:
			return nil
		case n == 0:
			<-f.wake
		case left <= 0 || closed:
			seen = n
			runtime.Gosched()
		default:
			late := time.NewTimer(left)
			select {
			case <-f.wake:
			case <-late.C:
			}
			late.Stop()
		}
	}
}

// take takes a batch out of the line. f.mu is held.
func (f *File) take() []*write {
	n := min(len(f.line), maxBatch)
	batch := f.line[:n:n]
	for _, w := range batch {
		w.taken = true
	}
	f.line = f.line[n:]
	for i, w := range f.line {
		if i == 0 || w.due.Before(f.due) {
			f.due = w.due
		}
	}
	f.room.Broadcast()
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
	err := f.applyAll(batch, savepoints)
	if err != nil {
		_, undo := f.exec("ROLLBACK")
		return errors.Join(err, undo)
	}
	_, err = f.exec("COMMIT")
	if err != nil {
		_, _ = f.exec("ROLLBACK") // fails if COMMIT has rolled back itself
	}
	return err
}

// applyAll does the writes of a batch. Those of the log ahead that another process has brought into
// the rows already are left out, and those that are new are counted there.
func (f *File) applyAll(batch []*write, savepoints bool) error {
	var have, newest uint64
	old := superseded(batch)
	for _, w := range batch {
		if w.err, w.affected = nil, 0; w.number != 0 && newest == 0 {
			var err error
			if have, err = f.applied(); err != nil {
				return err
			}
		}
		if newest = max(newest, w.number); w.number != 0 && (w.number <= have || w.void) {
			continue
		}
		if err := f.apply(w, savepoints, old); err != nil {
			return err
		}
		if w.number != 0 && w.err != nil {
			return w.err
		}
	}
	if newest <= have {
		return nil
	}
	_, err := f.exec(putApplied, int64(newest))
	return err
}

// superseded finds the appended statements of a batch that a later one makes needless. What was not appended may look at
// anything, so what is before it is done as it is.
func superseded(batch []*write) map[*Stmt]bool {
	type name struct{ query, latest string }
	old := map[*Stmt]bool{}
	last := map[name]*Stmt{}
	for _, w := range batch {
		if w.number == 0 {
			clear(last)
		}
		for i := range w.stmts {
			s := &w.stmts[i]
			if s.Latest == "" || w.number == 0 || w.void {
				continue
			}
			k := name{s.Query, s.Latest}
			if before := last[k]; before != nil {
				old[before] = true
			}
			last[k] = s
		}
	}
	return old
}

// apply does one write. Its own failure is kept in it; the error says that the
// transaction is broken.
func (f *File) apply(w *write, savepoints bool, old map[*Stmt]bool) error {
	if len(w.stmts) == 1 && !old[&w.stmts[0]] { // a statement alone is all or nothing by itself
		w.affected, w.err = f.exec(w.stmts[0].Query, w.stmts[0].Args...)
		return nil
	}
	if !savepoints {
		for i, s := range w.stmts {
			if old[&w.stmts[i]] {
				continue
			}
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
		if old[&w.stmts[i]] {
			continue
		}
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
