package verifier

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/trust"
)

// A book keeps what was checked and what is known of miners, in one SQLite file. It holds digests and
// signed objects, never inputs or outputs.
type book struct{ file *durable.File }

const schema = `
CREATE TABLE IF NOT EXISTS checked (
	task    BLOB PRIMARY KEY,
	checked BLOB NOT NULL,   -- JSON
	ended   INTEGER NOT NULL -- Unix milliseconds
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS checked_ended ON checked (ended);
CREATE TABLE IF NOT EXISTS records (
	miner  BLOB NOT NULL,
	model  BLOB NOT NULL,
	record BLOB NOT NULL, -- JSON
	PRIMARY KEY (miner, model)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
	task    BLOB PRIMARY KEY,
	file    BLOB NOT NULL,   -- task and receipt as they were signed
	input   BLOB NOT NULL,   -- sealed to miners
	consent BLOB,            -- the input, sealed to the coordinator; NULL: there is none
	height  INTEGER NOT NULL -- of the beacon that decides; 0: not fixed
);
`

// keepChecked is how long it is kept what was checked.
const keepChecked = 90 * 24 * time.Hour

// waits is a receipt whose audit had not ended when the program did.
type waits struct {
	verify.Work
	height int64 // of the beacon that decides; 0: not fixed
}

// kept is what is kept of a miner with a model.
type kept struct {
	trust.Record
	Barred   bool     // no more tasks of the model
	Evidence []string // CIDs of what spoke against the miner since the test began, the latest maxEvidence

	Duties  trust.Duties
	Missed  []string // CIDs of duties that were not answered, likewise
	Heights []int64  // and of the beacons that had drawn the miner
}

func openBook(path string) (*book, error) {
	f, err := durable.Open(path, schema)
	if err != nil {
		return nil, err
	}
	b := &book{f}
	_, err = f.Write(durable.Stmt{Query: `DELETE FROM checked WHERE ended < ?`, Args: []any{time.Now().Add(-keepChecked).UnixMilli()}})
	return b, err
}

func (b *book) close() error { return b.file.Close() }

// wait stores a receipt whose audit has not ended, with the next write.
func (b *book) wait(w verify.Work) {
	b.file.StartPatient(durable.Stmt{
		Query: `INSERT INTO waiting (task, file, input, consent, height) VALUES (?, ?, ?, ?, 0) ON CONFLICT (task) DO NOTHING`,
		Args:  []any{w.Receipt.Task[:], w.File.Encode(), w.Input, w.Consent},
	})
}

// fix stores which beacon decides about receipts: after that no end of the program chooses another.
func (b *book) fix(tasks []essaim.Digest, height int64) error {
	stmts := make([]durable.Stmt, len(tasks))
	for i := range tasks {
		stmts[i] = durable.Stmt{Query: `UPDATE waiting SET height = ? WHERE task = ?`, Args: []any{height, tasks[i][:]}}
	}
	_, err := b.file.Write(stmts...)
	return err
}

// unfinished reads what wait has stored and conclude has not ended.
func (b *book) unfinished(ctx context.Context) (out []waits, err error) {
	rows, err := b.file.Query(ctx, `SELECT file, input, consent, height FROM waiting LIMIT ?`, maxWaiting)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var w waits
		var file []byte
		if err := rows.Scan(&file, &w.Input, &w.Consent, &w.height); err != nil {
			return nil, err
		}
		if w.File, err = essaim.DecodeReceiptFile(file); err != nil {
			return nil, err
		}
		var err1, err2 error
		w.Task, _, err1 = essaim.OpenTask(w.File.Task)
		w.Receipt, err2 = essaim.OpenReceipt(w.File.Receipt)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, rows.Err()
}

// conclude stores what was checked of a receipt, and what is known of its miner.
func (b *book) conclude(c essaim.Checked, s subject, k kept) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	put, err := putRecord(s, k)
	if err != nil {
		return err
	}
	_, err = b.file.Write(durable.Stmt{
		Query: `INSERT INTO checked (task, checked, ended) VALUES (?, ?, ?) ON CONFLICT (task) DO UPDATE SET checked = excluded.checked, ended = excluded.ended`,
		Args:  []any{c.Task[:], text, time.Now().UnixMilli()},
	}, put, durable.Stmt{Query: `DELETE FROM waiting WHERE task = ?`, Args: []any{c.Task[:]}})
	return err
}

// put stores what is known of a miner.
func (b *book) put(s subject, k kept) error {
	stmt, err := putRecord(s, k)
	if err == nil {
		_, err = b.file.Write(stmt)
	}
	return err
}

func putRecord(s subject, k kept) (durable.Stmt, error) {
	text, err := json.Marshal(k)
	return durable.Stmt{
		Query: `INSERT INTO records (miner, model, record) VALUES (?, ?, ?) ON CONFLICT (miner, model) DO UPDATE SET record = excluded.record`,
		Args:  []any{s.Miner[:], s.Model[:], text},
	}, err
}

// checked reads what was checked of a task's receipt.
//
// Errors: CodeNotFound.
func (b *book) checked(ctx context.Context, task essaim.Digest) (c essaim.Checked, err error) {
	var text []byte
	err = b.file.QueryRow(ctx, `SELECT checked FROM checked WHERE task = ?`, task[:]).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return c, essaim.Errorf(essaim.CodeNotFound, "", "no receipt of task %s was looked at here", task.Short())
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	return c, err
}

// records reads what is known of all miners.
func (b *book) records(ctx context.Context) (map[subject]kept, error) {
	rows, err := b.file.Query(ctx, `SELECT miner, model, record FROM records`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[subject]kept{}
	for rows.Next() {
		var miner, model, text []byte
		var k kept
		if err := rows.Scan(&miner, &model, &text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &k); err != nil {
			return nil, fmt.Errorf("record of a miner: %w", err)
		}
		var s subject
		copy(s.Miner[:], miner)
		copy(s.Model[:], model)
		out[s] = k
	}
	return out, rows.Err()
}
