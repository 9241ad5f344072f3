package durable

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// The log ahead of the rows is two files beside the SQLite file, written in turns: when one is
// full and all that the other holds is in the rows, the other is written over from its
// beginning, so that a flush does not change the size of a file. What is written together is
// a frame (frame.go), and writes are numbered without gaps. The rows say up to which number they have
// them, in the transaction that brought them there. So it does not matter when a program
// dies, nor which of several brings them in.

const (
	aheadSchema = `CREATE TABLE IF NOT EXISTS ahead (one INTEGER PRIMARY KEY CHECK (one = 1), applied INTEGER NOT NULL)`
	getApplied  = `SELECT applied FROM ahead`
	putApplied  = `INSERT INTO ahead (one, applied) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET applied = excluded.applied`
)

const (
	// laziness is how long what was appended may take into the rows.
	laziness = 500 * time.Millisecond

	// retry is the wait after the rows could not be written.
	retry = 100 * time.Millisecond

	// maxAhead is how large a file of the log grows, unless the rows are late.
	maxAhead = 4 << 20

	// growth is by how much it grows at a time: a flush takes several times as long when it
	// has to make room, too.
	growth = 256 << 10
)

// Append makes a write durable without waiting for the rows: wait returns when it is safe. It
// is in the rows for every reader of this File, and for those of others within a fraction of a
// second, or when they open the file. The order with other writes is that in which they were started.
//
// It is for statements that the rows take whatever is in them, and whose count nobody
// asks for. If they do not, nothing can be appended any more. Of all who have a file open, one may append.
//
// Errors: ErrClosed after Close; the database's if it cannot be written at all.
func (f *File) Append(stmts ...Stmt) (wait func() error) { return f.appendSoon(stmts, false) }

// AppendPatient is Append for a write that nobody waits for just now: it is safe with the next
// one that cannot wait, or after some milliseconds.
func (f *File) AppendPatient(stmts ...Stmt) (wait func() error) { return f.appendSoon(stmts, true) }

// Enter makes a write durable in the cheapest way that is open to this File: it is appended if nobody else can (OpenFirst),
// and else written. The statements are as for Append.
//
// Errors: ErrClosed after Close, else the database's.
func (f *File) Enter(stmts ...Stmt) error {
	if f.claim == nil {
		_, err := f.Write(stmts...)
		return err
	}
	return f.Append(stmts...)()
}

func (f *File) appendSoon(stmts []Stmt, patient bool) (wait func() error) {
	a := f.appended(stmts, patient, nil)
	return a.Wait
}

// Appended is a write that was appended.
type Appended struct {
	write *write
	err   error // why it was not
}

// Wait returns when it is safe.
func (a *Appended) Wait() error {
	if a.err != nil {
		return a.err
	}
	select {
	case <-a.write.safe:
		return nil
	case <-a.write.done:
	}
	select {
	case <-a.write.safe: // whatever the rows say
		return nil
	default:
		return a.write.err
	}
}

// Note is Append for a write that AppendInstead may make needless.
func (f *File) Note(stmts ...Stmt) *Appended { return f.appended(stmts, false, nil) }

// AppendInstead is AppendPatient for a write after which an earlier one is of no use: that one may never get into the rows, if it is not
// there yet and nobody has read or written them since. So the statements must come to the same with and without it.
func (f *File) AppendInstead(of *Appended, stmts ...Stmt) *Appended {
	return f.appended(stmts, true, of)
}

func (f *File) appended(stmts []Stmt, patient bool, instead *Appended) *Appended {
	w := &write{stmts: stmts, due: time.Now().Add(laziness), done: make(chan struct{}), safe: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.append(w, patient); err != nil {
		return &Appended{err: err}
	}
	if instead != nil && instead.err == nil {
		if old := instead.write; !old.taken && old.number > f.barrier {
			old.void = true
		}
	}
	return &Appended{write: w}
}

// append puts a write into both lines. f.mu is held.
func (f *File) append(w *write, patient bool) error {
	if f.ahead == nil && !f.closed {
		a, err := openAhead(f.path, f.hurry)
		if err != nil {
			return err
		}
		f.ahead = a
	}
	if f.stuck != nil {
		return fmt.Errorf("durable: what was appended before does not get into the rows: %w", f.stuck)
	}
	w.number = f.newest + 1
	f.behind.Add(1)
	if err := f.enter(w); err != nil {
		f.behind.Add(-1)
		return err
	}
	f.newest++
	f.ahead.put(w, patient)
	return nil
}

// hurry has the rows take what the log ahead cannot.
func (f *File) hurry() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due = time.Now()
	f.poke()
}

// applied is the number of the newest appended write in the rows. It is the writer's.
func (f *File) applied() (uint64, error) {
	var n int64
	err := f.conn.QueryRowContext(context.Background(), getApplied).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return uint64(n), err
}

// catchUp brings into the rows what a program that is no more has appended, or one that
// lives and will.
//
// Errors: what was appended is damaged, or the rows do not take it.
func (f *File) catchUp() error {
	if _, err := f.conn.ExecContext(context.Background(), aheadSchema); err != nil {
		return err
	}
	for range catchUps {
		have, err := f.applied()
		if err != nil {
			return err
		}
		f.newest = have
		found, err := readAhead(f.path, have)
		if err != nil || len(found) == 0 {
			return err
		}
		var late []*write
		for n := have + 1; found[n] != nil; n++ {
			late = append(late, found[n])
			f.newest = n
			delete(found, n)
		}
		if len(late) > 0 {
			if err := f.try(late, true); err != nil {
				return fmt.Errorf("durable: bring what was appended into %s: %w", f.path, err)
			}
		}
		if len(found) == 0 {
			return nil
		} // else a writer that lives has gone on meanwhile
	}
	return fmt.Errorf("durable: the log beside %s is damaged: writes are missing between others", f.path)
}

// catchUps is how often a writer that lives may be met while it begins a file of the log anew.
const catchUps = 3

// ahead is the log ahead of the rows, as the one who appends has it.
type ahead struct {
	files [2]*aheadFile
	now   *aheadFile // one of them: where the next frame goes
	hurry func()     // called when a frame could not be written
	wake  chan struct{}
	done  chan struct{}

	mu     sync.Mutex
	line   []*write // guarded by mu
	urgent bool     // somebody waits for one in line; guarded by mu
	closed bool     // guarded by mu
}

// aheadFile is one of its files.
type aheadFile struct {
	file   *os.File
	mark   [markSize]byte
	end    int64  // of the frames, in bytes
	size   int64  // of the file, in bytes
	newest *write // the last in it; nil: there was none yet
}

// openAhead begins a log. The rows have what was in an older one.
func openAhead(path string, hurry func()) (*ahead, error) {
	a := &ahead{hurry: hurry, wake: make(chan struct{}, 1), done: make(chan struct{})}
	for i := range a.files {
		file, err := os.OpenFile(aheadPath(path, i), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			if i > 0 {
				err = errors.Join(err, a.files[0].file.Close())
			}
			return nil, err
		}
		a.files[i] = &aheadFile{file: file} // what an older log has left of its size is not known to be on the disk
	}
	a.now = a.files[0]
	if err := errors.Join(a.files[0].begin(), a.files[1].begin(), syncDir(path)); err != nil {
		return nil, errors.Join(err, a.files[0].file.Close(), a.files[1].file.Close())
	}
	go a.keep()
	return a, nil
}

func aheadPath(path string, i int) string { return fmt.Sprintf("%s-ahead%d", path, i) }

// begin writes a mark that nobody can know: what looks like a frame behind it is one, and not
// the bytes of somebody who would like to write here.
func (f *aheadFile) begin() error {
	rand.Read(f.mark[:]) // never fails, see crypto/rand
	f.end, f.size = headSize, headSize
	if _, err := f.file.WriteAt(encodeHead(f.mark), 0); err != nil {
		return err
	}
	return flush(f.file)
}

// put takes a write over.
func (a *ahead) put(w *write, patient bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.line = append(a.line, w)
	if !patient && !a.urgent || len(a.line) == 1 {
		a.urgent = !patient
		a.poke()
	}
}

// poke has keep look at the line.
func (a *ahead) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// close ends the log. Nothing is put any more, and nil has none.
func (a *ahead) close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.poke()
	<-a.done
	return errors.Join(a.files[0].file.Close(), a.files[1].file.Close())
}

// keep writes frames until the log is closed.
func (a *ahead) keep() {
	defer close(a.done)
	var buf []byte
	for {
		batch, closed := a.take()
		var err error
		if buf, err = a.write(buf[:0], batch); err != nil {
			a.again(batch)
		} else {
			for _, w := range batch {
				close(w.safe)
			}
		}
		if closed {
			return
		}
		if cap(buf) > maxBuffer {
			buf = nil
		}
	}
}

// take takes what is in line when somebody waits for it, or it has waited for a while. When the log is
// closed it takes the rest.
func (a *ahead) take() (batch []*write, closed bool) {
	for late := false; ; {
		a.mu.Lock()
		n, ready := len(a.line), late || a.urgent
		if a.closed || n > 0 && ready {
			a.mu.Unlock()
			runtime.Gosched() // those who were woken by the same event append, too
			a.mu.Lock()
			defer a.mu.Unlock()
			batch, a.line, a.urgent = a.line, nil, false
			return batch, a.closed
		}
		a.mu.Unlock()
		if n == 0 {
			<-a.wake
			continue
		}
		t := time.NewTimer(patience)
		select {
		case <-a.wake:
		case <-t.C:
			late = true
		}
		t.Stop()
	}
}

// maxBuffer is the size of the largest buffer that is used again, in bytes.
const maxBuffer = 1 << 20

// again has the rows take what the log could not, soon, and tries once more with the next
// frame: the log has no gaps.
func (a *ahead) again(batch []*write) {
	a.mu.Lock()
	a.line = append(batch, a.line...)
	a.mu.Unlock()
	a.hurry()
}

// write makes one frame durable, of the writes that the rows do not have by now. It uses buf.
func (a *ahead) write(buf []byte, batch []*write) ([]byte, error) {
	for len(batch) > 0 && batch[0].inRows() {
		batch = batch[1:]
	}
	if len(batch) == 0 {
		return buf, nil
	}
	if a.now.end >= maxAhead {
		other := a.files[0]
		if a.now == other {
			other = a.files[1]
		}
		if other.newest == nil || other.newest.inRows() {
			a.now, other.end = other, headSize
		}
	}
	f := a.now
	f.newest = batch[len(batch)-1]
	buf = encodeFrame(buf, f.mark, batch)
	if err := f.grow(f.end + int64(len(buf))); err != nil {
		return buf, err
	}
	if _, err := f.file.WriteAt(buf, f.end); err != nil {
		return buf, err
	}
	if err := flush(f.file); err != nil {
		return buf, err
	}
	f.end += int64(len(buf))
	return buf, nil
}

// grow makes room for frames up to an end.
func (f *aheadFile) grow(end int64) error {
	if end <= f.size {
		return nil
	}
	more := max(end-f.size, growth)
	for end := f.size + more; f.size < end; {
		n, err := f.file.WriteAt(zeros[:min(end-f.size, int64(len(zeros)))], f.size)
		f.size += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// zeros is what a file of the log grows by, piece by piece.
var zeros [64 << 10]byte

// inRows reports whether the rows have a write.
func (w *write) inRows() bool {
	select {
	case <-w.done:
		return w.err == nil
	default:
		return false
	}
}

// syncDir makes the names of new files durable, where a folder can be flushed.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && runtime.GOOS != "windows" {
		return err
	}
	return nil
}
