package durable

import (
	"context"
	"database/sql"
)

// DB is what a role needs of durable rows. A File is one in a file, for one process that writes; one on a server, for
// several, is in package postgres. Package durabletest has the suite that each passes.
//
// Queries are in the words that SQLite and PostgreSQL share, with ? for arguments.
type DB interface {
	// Write does statements together and makes them durable: see File.Write.
	Write(stmts ...Stmt) (affected int64, err error)

	// Start and StartPatient are Write in two steps: see File.Start.
	Start(stmts ...Stmt) (wait func() (affected int64, err error))
	StartPatient(stmts ...Stmt) (wait func() (affected int64, err error))

	// Append and AppendPatient are for what the rows take whatever is in them: see File.Append.
	Append(stmts ...Stmt) (wait func() error)
	AppendPatient(stmts ...Stmt) (wait func() error)

	// Query and QueryRow read what was written and appended before.
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row

	// Close ends the writer after the writes that wait.
	Close() error
}

var _ DB = (*File)(nil)
