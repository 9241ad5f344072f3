package miner

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/verify/trial"
)

// Court is where a miner's receipts are disputed. Implementations are safe for concurrent use.
type Court interface {
	// Disputes are those about a miner that are being played.
	Disputes(ctx context.Context, miner essaim.NodeKey) ([]essaim.Dispute, error)

	// Move makes the miner's move in a dispute in which so many were made before.
	Move(ctx context.Context, dispute, turn uint64, move []byte) error
}

// What a miner must know again to defend a receipt. The input stays sealed, as it came, to this miner's key.
const defenceSchema = `
CREATE TABLE IF NOT EXISTS defences (
	receipt BLOB PRIMARY KEY, -- its digest
	task    BLOB NOT NULL,    -- COSE_Sign1 by the payer
	input   BLOB NOT NULL,    -- sealed
	stored  INTEGER NOT NULL  -- Unix milliseconds
);
CREATE INDEX IF NOT EXISTS defences_stored ON defences (stored);
`

const (
	// maxDefences bounds what is kept: what is older than so many receipts is not defended.
	maxDefences = 100_000

	// defenceTime is how long it is kept: longer than any network lets a settled session be contested.
	defenceTime = 60 * 24 * time.Hour

	// prunePause is between two times that what is too old is forgotten.
	prunePause = 10 * time.Minute
)

// keep stores what defends a receipt. It is safe when the receipt is, whose add follows.
func (f *receiptFile) keep(receipt essaim.Digest, task, input []byte) {
	f.file.AppendPatient(durable.Stmt{
		Query: `INSERT OR REPLACE INTO defences (receipt, task, input, stored) VALUES (?, ?, ?, ?)`,
		Args:  []any{receipt[:], task, input, time.Now().UnixMilli()},
	})
}

// forget drops what is too old, or too much.
func (f *receiptFile) forget(most int, before time.Time) error {
	_, err := f.file.Write(durable.Stmt{
		Query: `DELETE FROM defences WHERE stored < ? OR receipt IN (SELECT receipt FROM defences ORDER BY stored DESC LIMIT -1 OFFSET ?)`,
		Args:  []any{before.UnixMilli(), most},
	})
	return err
}

// defence is what is kept of a receipt.
//
// Errors: CodeNotFound.
func (f *receiptFile) defence(ctx context.Context, receipt essaim.Digest) (signed, task, input []byte, err error) {
	err = f.file.QueryRow(ctx, `SELECT r.receipt, d.task, d.input FROM defences d JOIN receipts r ON r.digest = d.receipt WHERE d.receipt = ?`, receipt[:]).
		Scan(&signed, &task, &input)
	if errors.Is(err, sql.ErrNoRows) {
		err = essaim.Errorf(essaim.CodeNotFound, "", "what receipt %s was made of is not kept here", receipt.Short())
	}
	return signed, task, input, err
}

// defend answers disputes until ctx ends. What it needs is on the disk and the game is on the ledger, so it goes on after
// any end of the program.
func (m *Miner) defend(ctx context.Context) {
	tick := time.NewTicker(m.cfg.Poll)
	defer tick.Stop()
	runs := map[uint64]*trial.Run{}
	var pruned time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := time.Now(); now.Sub(pruned) >= prunePause {
			if err := m.receipts.forget(maxDefences, now.Add(-defenceTime)); err != nil {
				m.log.Warn("old requests cannot be forgotten", "err", err)
			}
			pruned = now
		}
		open, err := m.court(ctx)
		if err != nil {
			if ctx.Err() == nil {
				m.log.Warn("the ledger does not say what is disputed", "err", err)
			}
			continue
		}
		for id := range runs {
			if _, ok := open[id]; !ok {
				delete(runs, id)
			}
		}
		for _, d := range open {
			if err := m.answer(ctx, d, runs); err != nil && ctx.Err() == nil {
				m.log.Warn("a dispute cannot be answered", "dispute", d.ID, "receipt", d.Receipt.Short(), "err", err)
			}
		}
	}
}

// court are the disputes about this miner that are being played, by number.
func (m *Miner) court(ctx context.Context) (map[uint64]essaim.Dispute, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	list, err := m.cfg.Court.Disputes(ctx, m.key)
	out := map[uint64]essaim.Dispute{}
	for _, d := range list {
		out[d.ID] = d
	}
	return out, err
}

// answer makes the next move in a dispute if it is this miner's.
func (m *Miner) answer(ctx context.Context, d essaim.Dispute, runs map[uint64]*trial.Run) error {
	if mine, err := trial.MinersTurn(d.Game); err != nil || !mine {
		return err
	}
	run := runs[d.ID]
	if run == nil {
		var err error
		if run, err = m.again(ctx, d.Receipt); err != nil {
			return err
		}
		runs[d.ID] = run
	}
	move, err := run.Answer(d.Game)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	if err := m.cfg.Court.Move(ctx, d.ID, d.Turn, move); err != nil {
		return err
	}
	m.log.Info("answered a dispute", "dispute", d.ID, "receipt", d.Receipt.Short(), "move", d.Turn+1)
	return nil
}

// again runs what a receipt is of once more.
func (m *Miner) again(ctx context.Context, digest essaim.Digest) (*trial.Run, error) {
	signed, signedTask, sealed, err := m.receipts.defence(ctx, digest)
	if err != nil {
		return nil, err
	}
	r, err1 := essaim.OpenReceipt(signed)
	task, _, err2 := essaim.OpenTask(signedTask)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	plain, err := m.cfg.Seal.Open(sealed, task.Input[:])
	if err != nil {
		return nil, err
	}
	in, err := essaim.DecodeInput(plain)
	if err != nil {
		return nil, errors.New("the input cannot be decoded") // the decoder's own words could quote it
	}
	runner, ok := m.runnerOf(r.Model)
	if !ok {
		return nil, essaim.Errorf(essaim.CodeNotFound, "start the engine that has it", "model %s does not run here now", r.Model.Short())
	}
	run, err := trial.Again(ctx, runner.engine, r, in.Prompt, in.PlanSalt())
	if err != nil {
		return nil, errors.New(redact(err, in.Prompt))
	}
	return run, nil
}
