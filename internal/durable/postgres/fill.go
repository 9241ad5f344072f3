package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/essaim/essaim/internal/durable"
)

// Part is tables of one space, and what they are filled with.
type Part struct {
	Space, Schema, Own string // as in Config
	Tables             []Table

	// Prove looks at what will be there, before it is. An error undoes all. nil: nobody asks.
	Prove func(durable.DB) error
}

// Table is a table's rows.
type Table struct {
	Name    string
	Columns []string
	Rows    iter.Seq2[[]any, error] // of int64, float64, string, []byte or nil; read once
}

// ErrNotEmpty is wrapped by Fill for a database in which a table has rows.
var ErrNotEmpty = errors.New("postgres: the database is not empty")

// ErrUnknown is wrapped by Fill when the connection was lost in the very end: all is there, or nothing.
var ErrUnknown = errors.New("postgres: nobody knows whether it was done")

// Fill makes tables in a database without rows and fills them, in one transaction: all of it is done, or nothing. Every row is read back and
// compared; triggers do not see it. It returns how many rows each table has got, by space and name.
//
// Errors: ErrNotEmpty, ErrUnknown, Prove's, else the server's.
func Fill(ctx context.Context, url, name string, parts []Part) (rows map[string]int64, err error) {
	cc, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	cc.RuntimeParams["application_name"] = name
	db := stdlib.OpenDB(*cc)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	defer conn.Close()
	f := filling{conn: conn, path: cmp.Or(cc.RuntimeParams["search_path"], `"$user",public`), rows: map[string]int64{}}
	err = f.exec(ctx, "BEGIN; SELECT pg_advisory_xact_lock(%d)", creating)
	if err == nil {
		err = f.all(ctx, parts)
	}
	if err != nil {
		return nil, errors.Join(err, f.exec(context.WithoutCancel(ctx), "ROLLBACK"))
	}
	if err := f.exec(ctx, "COMMIT"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return f.rows, nil
}

// filling is a Fill under way.
type filling struct {
	conn *sql.Conn
	path string // of the server, where it looks for tables
	rows map[string]int64
}

func (f *filling) all(ctx context.Context, parts []Part) error {
	for _, p := range parts { // all tables first, as triggers and checks may name each other's
		if err := f.enter(ctx, p.Space); err != nil {
			return err
		}
		if err := f.exec(ctx, "%s", Words(p.Schema)+p.Own); err != nil {
			return fmt.Errorf("make the tables: %w", err)
		}
	}
	if err := f.empty(ctx); err != nil {
		return err
	}
	for _, p := range parts {
		if err := f.enter(ctx, p.Space); err != nil {
			return err
		}
		for _, t := range p.Tables {
			name := strings.TrimPrefix(p.Space+"."+t.Name, ".")
			n, err := f.table(ctx, t)
			if err != nil {
				return fmt.Errorf("table %s: %w", name, err)
			}
			f.rows[name] = n
		}
		if p.Prove == nil {
			continue
		}
		if err := p.Prove(inside{f.conn}); err != nil {
			return err
		}
	}
	return nil
}

// enter makes a space the one that tables are made and looked for in.
func (f *filling) enter(ctx context.Context, space string) error {
	if space == "" {
		return f.exec(ctx, "SET LOCAL search_path TO %s", f.path)
	}
	return f.exec(ctx, "CREATE SCHEMA IF NOT EXISTS %s; SET LOCAL search_path TO %s,%s", space, space, f.path)
}

// exec does statements without arguments.
func (f *filling) exec(ctx context.Context, format string, args ...any) error {
	return f.raw(func(c *pgx.Conn) error { return c.PgConn().Exec(ctx, fmt.Sprintf(format, args...)).Close() })
}

func (f *filling) raw(do func(*pgx.Conn) error) error {
	return f.conn.Raw(func(c any) error { return do(c.(*stdlib.Conn).Conn()) })
}

// empty makes sure that no table has a row, and that none gets one from elsewhere.
func (f *filling) empty(ctx context.Context) error {
	found, err := f.conn.QueryContext(ctx, `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
		WHERE schemaname <> 'information_schema' AND schemaname NOT LIKE 'pg\_%' ORDER BY 1`)
	if err != nil {
		return err
	}
	var tables []string
	for found.Next() {
		var name string
		if err := found.Scan(&name); err != nil {
			return errors.Join(err, found.Close())
		}
		tables = append(tables, name)
	}
	if err := errors.Join(found.Err(), found.Close()); err != nil {
		return err
	}
	for _, name := range tables {
		if err := f.exec(ctx, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", name); err != nil {
			return err
		}
		var some bool
		if err := f.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+name+")").Scan(&some); err != nil {
			return err
		}
		if some {
			return fmt.Errorf("%w: table %s has rows", ErrNotEmpty, name)
		}
	}
	return nil
}

// table fills one and reads it back.
func (f *filling) table(ctx context.Context, t Table) (rows int64, err error) {
	next, stop := iter.Pull2(t.Rows)
	defer stop()
	in, out := sum{}, sum{}
	if err := f.exec(ctx, "ALTER TABLE %s DISABLE TRIGGER USER", t.Name); err != nil {
		return 0, err
	}
	err = f.raw(func(c *pgx.Conn) error {
		_, err := c.CopyFrom(ctx, pgx.Identifier{t.Name}, t.Columns, pgx.CopyFromFunc(func() ([]any, error) {
			row, err, ok := next()
			if !ok || err != nil {
				return nil, err
			}
			return row, in.add(row)
		}))
		return err
	})
	if err == nil {
		err = f.exec(ctx, "ALTER TABLE %s ENABLE TRIGGER USER", t.Name)
	}
	if err == nil {
		err = f.raw(func(c *pgx.Conn) error { return read(ctx, c, t, &out) })
	}
	if err == nil && in != out {
		err = fmt.Errorf("%d rows were written and %d are there, or they are others", in.rows, out.rows)
	}
	return out.rows, err
}

func read(ctx context.Context, c *pgx.Conn, t Table, out *sum) error {
	found, err := c.Query(ctx, "SELECT "+strings.Join(t.Columns, ", ")+" FROM "+t.Name)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		row, err := found.Values()
		if err != nil {
			return err
		}
		if err := out.add(row); err != nil {
			return err
		}
	}
	return found.Err()
}

// sum is of rows in whichever order.
type sum struct {
	rows int64
	of   [4]uint64
}

func (s *sum) add(row []any) error {
	h := sha256.New()
	for _, v := range row {
		switch v := v.(type) {
		case nil:
			fmt.Fprint(h, "null;")
		case int64:
			fmt.Fprintf(h, "int %d;", v)
		case float64:
			fmt.Fprintf(h, "real %x;", v)
		case string:
			fmt.Fprintf(h, "text %d %s;", len(v), v)
		case []byte:
			fmt.Fprintf(h, "blob %d %s;", len(v), v)
		default:
			return fmt.Errorf("a column of type %T", v)
		}
	}
	b := h.Sum(nil)
	s.rows++
	for i := range s.of {
		s.of[i] += binary.BigEndian.Uint64(b[8*i:])
	}
	return nil
}

// inside is what a transaction that is not over has written so far, to be read.
type inside struct{ conn *sql.Conn }

var errReadOnly = errors.New("postgres: this is only to be read")

// Write does nothing.
func (inside) Write(...durable.Stmt) (int64, error) { return 0, errReadOnly }

// Start does nothing.
func (inside) Start(...durable.Stmt) func() (int64, error) {
	return func() (int64, error) { return 0, errReadOnly }
}

// StartPatient does nothing.
func (i inside) StartPatient(...durable.Stmt) func() (int64, error) { return i.Start() }

// Append does nothing.
func (inside) Append(...durable.Stmt) func() error { return func() error { return errReadOnly } }

// AppendPatient does nothing.
func (i inside) AppendPatient(...durable.Stmt) func() error { return i.Append() }

// Query is durable.DB's.
func (i inside) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return i.conn.QueryContext(ctx, numbered(query), args...)
}

// QueryRow is durable.DB's.
func (i inside) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return i.conn.QueryRowContext(ctx, numbered(query), args...)
}

// Close does nothing.
func (inside) Close() error { return nil }
