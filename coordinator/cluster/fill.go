package cluster

import (
	"context"
	"database/sql"
	"errors"

	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/postgres"
)

// filledSchema has one row: which Fill has made what is in the database.
const filledSchema = `
CREATE TABLE IF NOT EXISTS filled (id TEXT PRIMARY KEY);
`

// Filling is tables of a space, and what they are filled with.
type Filling struct {
	Space  Space // the Name is "" for those of the log and what is beside it, whose Schema follows the log's
	Tables []postgres.Table
	Prove  func(durable.DB) error // looks at what will be there; an error undoes all
}

// Fill puts what a coordinator had for itself alone into a database that instances will share, which has no rows: all of it or nothing. id names it: see Filled. It
// returns how many rows each table has got.
//
// Errors: those of postgres.Fill.
func Fill(ctx context.Context, url, id string, all []Filling) (map[string]int64, error) {
	var parts []postgres.Part
	for _, f := range all {
		p := postgres.Part{Space: f.Space.Name, Schema: f.Space.Schema, Own: f.Space.Own, Tables: f.Tables, Prove: f.Prove}
		if p.Space == "" {
			p.Schema, p.Own = receiptlog.Schema+filledSchema+p.Schema, schema+p.Own
			p.Tables = append(p.Tables, postgres.Table{Name: "filled", Columns: []string{"id"}, Rows: func(yield func([]any, error) bool) { yield([]any{id}, nil) }})
		}
		parts = append(parts, p)
	}
	return postgres.Fill(ctx, url, "essaim-move", parts)
}

// Filled is the id of the Fill that has filled a database; "": none has.
func Filled(ctx context.Context, url string) (id string, err error) {
	db, err := postgres.Open(ctx, postgres.Config{URL: url, Name: "essaim-move", Reads: 1})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var there bool
	if err := db.QueryRow(ctx, `SELECT to_regclass('filled') IS NOT NULL`).Scan(&there); err != nil || !there {
		return "", err
	}
	err = db.QueryRow(ctx, `SELECT id FROM filled`).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, err
}
