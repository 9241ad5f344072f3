package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/dir"
	"github.com/essaim/essaim/blob/pack"
	"github.com/essaim/essaim/coordinator/cluster"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/batch"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/postgres"
	"github.com/essaim/essaim/web"
)

// movedName is a file in the folder of a coordinator whose books are in a database now, or may be: a move was cut off.
const movedName = "moved.json"

// Moved is what that file says.
type Moved struct {
	ID   string    `json:"id"`   // of the move, in the database, too
	To   string    `json:"to"`   // the database, without a password
	At   time.Time `json:"at"`   // when it began
	Done bool      `json:"done"` // false: it was cut off, and may have been done all the same
}

// Move brings the books of a coordinator that has run by itself into a database that instances of it will share: log, blobs, API keys
// with what they have spent, and batches.
type Move struct {
	Dir string // of the coordinator
	DB  string // postgres://…, without rows; "": what node.toml says

	moved Moved
}

// Result is what a move has done.
type Result struct {
	To      string           `json:"to"`
	Rows    map[string]int64 `json:"rows"`    // by table; nil: an earlier try had done it all
	Entries int              `json:"entries"` // of the keys' books, which were added up again
	Damaged int              `json:"damaged"` // blobs that were left behind, as they cannot be read
}

// Do moves all in one transaction, in which every row is read back and the keys' books are added up again. The files stay, and nothing starts on them any
// more without the database. A move that was cut off is done again by the next one.
//
// Errors: CodeConflict for a coordinator that runs, a folder that was moved, or a database with rows; CodeRefused if the books do not add up; CodeUnavailable for a
// database that does not answer, or was lost in the end: then the next try finds out.
func (m *Move) Do(ctx context.Context) (r Result, err error) {
	cfg, err := Load(m.Dir)
	if err != nil {
		return r, err
	}
	if cfg.Coordinator == nil {
		return r, essaim.Errorf(essaim.CodeBadInput, "name a coordinator's folder", "a %s has no books to move", cfg.Role)
	}
	if m.DB == "" {
		m.DB = cfg.Coordinator.DB
	}
	to, err := url.Parse(m.DB)
	if err != nil || m.DB == "" {
		return r, essaim.Errorf(essaim.CodeBadInput, "such as --db postgres://user@host/essaim", "no database to move to")
	}
	r.To = to.Redacted()
	if done, err := m.begin(ctx, r.To); err != nil || done {
		return r, err
	}
	if err = m.idle(); err == nil {
		err = m.fill(ctx, &r)
	}
	switch {
	case errors.Is(err, postgres.ErrUnknown):
		return r, essaim.Errorf(essaim.CodeUnavailable, "move again: it is found out whether all is there", "move the books: %w", err)
	case err != nil:
		return r, errors.Join(err, os.Remove(filepath.Join(m.Dir, movedName)))
	}
	return r, m.end()
}

// begin marks the folder before anything is in the database, so that nobody starts on the files after; done: an earlier try had done it.
func (m *Move) begin(ctx context.Context, to string) (done bool, err error) {
	old, err := readMoved(m.Dir)
	if err != nil {
		return false, err
	}
	switch {
	case old == nil:
		m.moved = Moved{ID: rand.Text(), To: to, At: time.Now().UTC()}
		return false, m.write()
	case old.Done:
		return false, essaim.Errorf(essaim.CodeConflict, "run it with --db", "the books of %s were moved to %s on %s", m.Dir, old.To, old.At.Format(time.DateOnly))
	case old.To != to:
		return false, essaim.Errorf(essaim.CodeConflict, "finish it with --db "+old.To+" (and its password)", "a move of %s to %s was cut off, and may have been done", m.Dir, old.To)
	}
	m.moved = *old
	id, err := cluster.Filled(ctx, m.DB)
	if err != nil {
		return false, unreachable(err)
	}
	if id != old.ID {
		return false, nil
	}
	return true, m.end()
}

func (m *Move) end() error {
	m.moved.Done = true
	return m.write()
}

// write writes the mark, whole or not at all, and has it on the disk.
func (m *Move) write() error {
	b, err := json.MarshalIndent(m.moved, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(m.Dir, movedName+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(m.Dir, movedName))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(m.Dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // a system that cannot has no directories to sync
	return d.Close()
}

// readMoved reads a folder's mark; nil: there is none.
func readMoved(folder string) (*Moved, error) {
	b, err := os.ReadFile(filepath.Join(folder, movedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	m := &Moved{}
	if err == nil {
		err = json.Unmarshal(b, m)
	}
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeInternal, "", "read %s: %w", movedName, err)
	}
	return m, nil
}

// atHome makes sure that a folder's files are the books. It is asked when they are open, as a move looks for that after it has left its mark.
//
// Errors: CodeConflict.
func atHome(folder string) error {
	m, err := readMoved(folder)
	switch {
	case err != nil || m == nil:
		return err
	case !m.Done:
		return essaim.Errorf(essaim.CodeConflict, "end it with essaim coordinator move", "a move of the books of %s to %s was cut off, and may have been done", folder, m.To)
	}
	return essaim.Errorf(essaim.CodeConflict, "use --db, or db in node.toml", "the books of %s were moved to %s on %s", folder, m.To, m.At.Format(time.DateOnly))
}

func (m *Move) smallBlobs() string { return filepath.Join(m.Dir, "blobs", "small.db") }

// idle makes sure that nobody has the files open.
//
// Errors: CodeConflict.
func (m *Move) idle() error {
	for _, path := range []string{filepath.Join(m.Dir, LogFile), filepath.Join(m.Dir, KeysFile), m.smallBlobs()} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		used, err := durable.InUse(path)
		if err != nil {
			return essaim.Errorf(essaim.CodeInternal, "restore it from a copy", "read %s: %w", path, err)
		}
		if used {
			return essaim.Errorf(essaim.CodeConflict, "stop the coordinator first", "%s is in use", path)
		}
	}
	return nil
}

// fill reads the files into the database.
func (m *Move) fill(ctx context.Context, r *Result) (err error) {
	var open []*durable.File
	defer func() {
		for _, f := range open {
			err = errors.Join(err, f.Close())
		}
	}()
	raw := func(path string) (*durable.File, error) {
		f, err := durable.Open(path, "")
		if err == nil {
			open = append(open, f)
		}
		return f, err
	}
	log := cluster.Filling{Space: cluster.Space{Schema: pack.Schema}}
	if log.Tables, err = m.log(ctx, raw, r); err != nil {
		return err
	}
	keys := cluster.Filling{Space: books}
	if err := m.keys(ctx, raw, &keys, r); err != nil {
		return err
	}
	folder := filepath.Join(m.Dir, batchFolder)
	batches := cluster.Filling{Space: batchSpace, Tables: []postgres.Table{
		{Name: "descriptions", Columns: []string{"id", "owner", "open", "made", "text"}, Rows: batch.Descriptions(folder)},
		{Name: "lines", Columns: []string{"id", "n", "made", "sealed"}, Rows: batch.Lines(folder)},
	}}
	faucet := cluster.Filling{Space: gifts, Tables: []postgres.Table{
		{Name: "gifts", Columns: []string{"account", "host", "at"}, Rows: web.FaucetRows(filepath.Join(m.Dir, FaucetFile))},
	}}
	r.Rows, err = cluster.Fill(ctx, m.DB, m.moved.ID, []cluster.Filling{log, keys, batches, faucet})
	switch {
	case errors.Is(err, postgres.ErrNotEmpty):
		return essaim.Errorf(essaim.CodeConflict, "name a database of its own", "move the books: %w", err)
	case err == nil, essaim.CodeOf(err) == essaim.CodeRefused, errors.Is(err, postgres.ErrUnknown):
		return err
	}
	return essaim.Errorf(essaim.CodeUnavailable, "nothing was moved; is the database running, and may its user make schemas?", "move the books: %w", err)
}

// log is the tables of the log, and the blobs.
func (m *Move) log(ctx context.Context, raw func(string) (*durable.File, error), r *Result) (tables []postgres.Table, err error) {
	path := filepath.Join(m.Dir, LogFile)
	l, err := receiptlog.Open(path) // brings in what was ahead of the rows, and makes tables that are missing
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		return nil, err
	}
	f, err := raw(path)
	if err != nil {
		return nil, err
	}
	if tables, err = everything(ctx, f); err != nil {
		return nil, err
	}
	blobs, err := openBlobs(m.Dir)
	if err == nil {
		err = blobs.Close()
	}
	if err != nil {
		return nil, err
	}
	small, err := raw(m.smallBlobs())
	if err != nil {
		return nil, err
	}
	columns := []string{"digest", "bytes"}
	return append(tables, postgres.Table{Name: "blobs", Columns: columns, Rows: both(small.Rows(ctx, "blobs", columns), m.largeBlobs(ctx, small, &r.Damaged))}), nil
}

// keys is the tables of API keys and their books, which are added up on both sides.
func (m *Move) keys(ctx context.Context, raw func(string) (*durable.File, error), to *cluster.Filling, r *Result) error {
	path := filepath.Join(m.Dir, KeysFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // it has served none
	}
	store, err := apikey.OpenServing(path)
	if err != nil {
		return err
	}
	here, err := store.Check(ctx)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	if err := sound("in the file", here); err != nil {
		return err
	}
	r.Entries = len(here.Entries)
	f, err := raw(path)
	if err != nil {
		return err
	}
	to.Tables, err = everything(ctx, f)
	to.Prove = func(db durable.DB) error {
		there, err := apikey.OnShared(db, "").Check(ctx)
		if err != nil {
			return err
		}
		if err := sound("in the database", there); err != nil {
			return err
		}
		if !maps.Equal(here.Balances, there.Balances) || !reflect.DeepEqual(here.Doubts, there.Doubts) || len(here.Entries) != len(there.Entries) {
			return essaim.Errorf(essaim.CodeRefused, "nothing was moved", "the books in the database come to something else than those in the file")
		}
		return nil
	}
	return err
}

// sound makes sure that books add up.
//
// Errors: CodeRefused.
func sound(where string, b apikey.Books) error {
	if len(b.Faults) == 0 {
		return nil
	}
	return essaim.Errorf(essaim.CodeRefused, "essaim apikey reconcile lists them all", "the books %s do not add up: entry %d: %s", where, b.Faults[0].Entry, b.Faults[0].Text)
}

// everything is all tables of a file.
func everything(ctx context.Context, f *durable.File) (tables []postgres.Table, err error) {
	names, err := f.Tables(ctx)
	for _, name := range names {
		columns, err := f.Columns(ctx, name)
		if err != nil {
			return nil, err
		}
		tables = append(tables, postgres.Table{Name: name, Columns: columns, Rows: f.Rows(ctx, name, columns)})
	}
	return tables, err
}

func both(a, b iter.Seq2[[]any, error]) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for _, each := range []iter.Seq2[[]any, error]{a, b} {
			for row, err := range each {
				if !yield(row, err) {
					return
				}
			}
		}
	}
}

// largeBlobs are those that have a file each and are not in the other one.
func (m *Move) largeBlobs(ctx context.Context, small *durable.File, damaged *int) iter.Seq2[[]any, error] {
	root := filepath.Join(m.Dir, "blobs")
	return func(yield func([]any, error) bool) {
		store, err := dir.Open(root)
		if err != nil {
			yield(nil, err)
			return
		}
		err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			d, not := essaim.ParseDigest(filepath.Base(path))
			if err != nil || e.IsDir() || not != nil {
				return err
			}
			var twice bool
			if err := small.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM blobs WHERE digest = ?)`, d[:]).Scan(&twice); err != nil || twice {
				return err
			}
			b, err := store.Get(ctx, d)
			if err != nil {
				*damaged++
				return ctx.Err()
			}
			if !yield([]any{d[:], b}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(nil, err)
		}
	}
}
