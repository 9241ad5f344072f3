package batch

import (
	"context"
	"errors"
	"time"

	"github.com/essaim/essaim/internal/durable"
)

// Schema is the tables of batches in a database that several instances share, in the words of SQLite.
const Schema = `
CREATE TABLE IF NOT EXISTS descriptions (
	id    TEXT PRIMARY KEY,
	owner TEXT NOT NULL,    -- ID of the API key
	open  INTEGER NOT NULL, -- 1: somebody has to go on with it
	made  INTEGER NOT NULL, -- Unix seconds
	text  BLOB NOT NULL     -- JSON
);
CREATE INDEX IF NOT EXISTS descriptions_owner ON descriptions (owner);
CREATE INDEX IF NOT EXISTS descriptions_open ON descriptions (owner) WHERE open = 1;
CREATE INDEX IF NOT EXISTS descriptions_made ON descriptions (made);
CREATE TABLE IF NOT EXISTS lines (
	id     TEXT NOT NULL, -- the file's
	n      INTEGER NOT NULL,
	made   INTEGER NOT NULL, -- Unix seconds
	sealed BLOB NOT NULL,
	PRIMARY KEY (id, n)
);
CREATE INDEX IF NOT EXISTS lines_made ON lines (made);
`

const (
	pageLines = 8  // that are read at a time: nobody keeps a query open while a batch runs
	unsynced  = 16 // lines that are on their way at most
)

// rows is a shelf in such a database. What an instance that was given up writes to it fails.
type rows struct{ db durable.DB }

func (s rows) put(id, owner string, open bool, text []byte) error {
	goesOn := 0
	if open {
		goesOn = 1
	}
	_, err := s.db.Write(durable.Stmt{
		Query: `INSERT INTO descriptions (id, owner, open, made, text) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET open = excluded.open, text = excluded.text`,
		Args: []any{id, owner, int64(goesOn), time.Now().Unix(), text},
	})
	return err
}

func (s rows) each(owner string, f func(id string, text []byte) error) error {
	if owner == "" {
		return nil // an instance asks for those of its keys
	}
	found, err := s.db.Query(context.Background(), `SELECT id, text FROM descriptions WHERE owner = ? ORDER BY id`, owner)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var id string
		var text []byte
		if err := found.Scan(&id, &text); err != nil {
			return err
		}
		if err := f(id, text); err != nil {
			return err
		}
	}
	return found.Err()
}

func (s rows) remove(id string) error {
	_, err := s.db.Write(
		durable.Stmt{Query: `DELETE FROM descriptions WHERE id = ?`, Args: []any{id}}, durable.Stmt{Query: `DELETE FROM lines WHERE id = ?`, Args: []any{id}},
	)
	return err
}

func (s rows) scan(id string, f func(sealed []byte) error) error {
	for next := int64(0); ; {
		page, err := s.page(id, next)
		if err != nil {
			return err
		}
		for _, sealed := range page {
			if err := f(sealed); err != nil {
				return err
			}
		}
		if next += int64(len(page)); len(page) < pageLines {
			return nil
		}
	}
}

// page reads some lines from the n-th.
func (s rows) page(id string, n int64) (page [][]byte, err error) {
	found, err := s.db.Query(context.Background(), `SELECT sealed FROM lines WHERE id = ? AND n >= ? ORDER BY n LIMIT ?`, id, n, int64(pageLines))
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var sealed []byte
		if err := found.Scan(&sealed); err != nil {
			return nil, err
		}
		page = append(page, sealed)
	}
	return page, found.Err()
}

func (s rows) add(id string, seen func(sealed []byte) error) (appender, error) {
	a := &rowsFile{db: s.db, id: id}
	return a, s.scan(id, func(sealed []byte) error {
		a.n++
		return seen(sealed)
	})
}

// rowsFile is a file that lines are added to.
type rowsFile struct {
	db    durable.DB
	id    string
	n     int64
	waits []func() (int64, error)
}

func (a *rowsFile) put(sealed []byte) error {
	a.waits = append(a.waits, a.db.Start(durable.Stmt{Query: `INSERT INTO lines (id, n, made, sealed) VALUES (?, ?, ?, ?)`, Args: []any{a.id, a.n, time.Now().Unix(), sealed}}))
	if a.n++; len(a.waits) >= unsynced {
		return a.sync()
	}
	return nil
}

func (a *rowsFile) sync() error {
	var errs []error
	for _, wait := range a.waits {
		_, err := wait()
		errs = append(errs, err)
	}
	a.waits = a.waits[:0]
	return errors.Join(errs...)
}

func (a *rowsFile) close() error { return a.sync() }

// left lists the keys whose batches somebody has to go on with.
func (s rows) left(ctx context.Context) (keys []string, err error) {
	found, err := s.db.Query(ctx, `SELECT DISTINCT owner FROM descriptions WHERE open = 1`)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var key string
		if err := found.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, found.Err()
}

// sweep drops what is so old that no description of it is good any more, or that never had one.
func (s rows) sweep(before time.Time) error {
	_, err := s.db.Write(
		durable.Stmt{Query: `DELETE FROM lines WHERE made < ?`, Args: []any{before.Unix()}},
		durable.Stmt{Query: `DELETE FROM descriptions WHERE made < ?`, Args: []any{before.Unix()}},
	)
	return err
}
