package postgres_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"strings"
	"testing"

	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/postgres"
)

// TestFillIsAllOrNothing: what comes from a file is there as it was, triggers do not see it, a database with rows is refused, and what fails in the end leaves nothing.
func TestFillIsAllOrNothing(t *testing.T) {
	if server == nil {
		t.Skip(why)
	}
	const schema = `CREATE TABLE IF NOT EXISTS v (i INTEGER NOT NULL, b BLOB, r REAL, s TEXT) STRICT;`
	const guard = `CREATE OR REPLACE FUNCTION no() RETURNS TRIGGER AS $$ BEGIN RAISE EXCEPTION 'no'; END $$ LANGUAGE plpgsql; CREATE OR REPLACE TRIGGER no BEFORE INSERT ON v FOR EACH ROW EXECUTE FUNCTION no();`
	f, err := durable.Open(t.TempDir()+"/f.db", schema)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, row := range [][]any{{int64(math.MinInt64), []byte{}, 0.1, ""}, {int64(1), nil, nil, nil}, {int64(math.MaxInt64), []byte{0, 255}, math.Inf(1), "ü\n\t\\"}} {
		if _, err := f.Write(durable.Stmt{Query: `INSERT INTO v VALUES (?, ?, ?, ?)`, Args: row}); err != nil {
			t.Fatal(i, err)
		}
	}
	columns, err := f.Columns(t.Context(), "v")
	if err != nil || strings.Join(columns, "") != "ibrs" {
		t.Fatal(columns, err)
	}
	fill := func(db string, rows iter.Seq2[[]any, error], prove func(durable.DB) error) error {
		n, err := postgres.Fill(t.Context(), db, "test-fill", []postgres.Part{
			{Schema: `CREATE TABLE IF NOT EXISTS v (other TEXT);`}, {Space: "apart", Schema: schema, Own: guard, Tables: []postgres.Table{{Name: "v", Columns: columns, Rows: rows}}, Prove: prove},
		})
		if err == nil && n["apart.v"] != 3 {
			t.Errorf("it says %v", n)
		}
		return err
	}
	count := func(d durable.DB) (n int) {
		if err := d.QueryRow(context.Background(), `SELECT COUNT(*) FROM v WHERE i <> ?`, int64(0)).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	db, all := server.Database(t), f.Rows(t.Context(), "v", columns)
	no := errors.New("it does not add up")
	if err := fill(db, all, func(d durable.DB) error {
		if n := count(d); n != 3 {
			t.Errorf("%d rows are to be proven", n)
		}
		if _, err := d.Write(); err == nil {
			t.Error("it can be written to")
		}
		return no
	}); !errors.Is(err, no) {
		t.Errorf("not proven: %v", err)
	}
	broken := func(yield func([]any, error) bool) {
		for row := range all {
			if !yield(row, nil) {
				return
			}
		}
		yield(nil, no)
	}
	if err := fill(db, broken, nil); err == nil || !strings.Contains(err.Error(), no.Error()) {
		t.Errorf("a file that cannot be read to its end: %v", err)
	}
	if err := fill(db, all, nil); err != nil {
		t.Fatal(err)
	}
	if err := fill(db, all, nil); !errors.Is(err, postgres.ErrNotEmpty) {
		t.Errorf("a second time: %v", err)
	}
	d, err := postgres.Open(t.Context(), postgres.Config{URL: db, Name: "test", Space: "apart"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if n := count(d); n != 3 {
		t.Errorf("%d rows are there", n)
	}
	if _, err := d.Write(durable.Stmt{Query: `INSERT INTO v VALUES (?, NULL, NULL, NULL)`, Args: []any{int64(2)}}); err == nil {
		t.Error("its triggers do not work any more")
	}
}
