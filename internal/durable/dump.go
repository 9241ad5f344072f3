package durable

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// Tables lists the tables of a file that hold a role's rows, in the order of their names.
func (f *File) Tables(ctx context.Context) ([]string, error) {
	return f.names(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'ahead' ORDER BY name`)
}

// Columns lists a table's columns.
func (f *File) Columns(ctx context.Context, table string) ([]string, error) {
	return f.names(ctx, `SELECT name FROM pragma_table_info(?) ORDER BY cid`, table)
}

func (f *File) names(ctx context.Context, query string, args ...any) (names []string, err error) {
	found, err := f.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var name string
		if err := found.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, found.Err()
}

// Rows is all of a table, one row at a time, each with the given columns: int64, float64, string, []byte, or nil for NULL. A row belongs to the
// caller. The last pair may be an error.
func (f *File) Rows(ctx context.Context, table string, columns []string) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		found, err := f.Query(ctx, fmt.Sprintf(`SELECT %s FROM %s`, strings.Join(columns, ", "), table))
		if err != nil {
			yield(nil, err)
			return
		}
		defer found.Close()
		for found.Next() {
			row, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			if err := found.Scan(into...); err != nil {
				yield(nil, err)
				return
			}
			for i, v := range row {
				if b, ok := v.([]byte); ok && b == nil {
					row[i] = []byte{} // which is not NULL
				}
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := found.Err(); err != nil {
			yield(nil, err)
		}
	}
}
