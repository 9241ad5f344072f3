package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

func (d *DB) writer() {
	defer close(d.done)
	for batch := d.gather(); len(batch) > 0; batch = d.gather() {
		err := d.commit(batch)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrLost, err)
			d.lose(err)
		}
		for _, w := range batch {
			w.end(d, err)
		}
	}
}

// lose ends all that waits: nothing can be written any more.
func (d *DB) lose(why error) {
	d.mu.Lock()
	if d.why == nil {
		d.why = why
		close(d.lost)
	}
	late := d.line
	d.line = nil
	d.room.Broadcast()
	d.mu.Unlock()
	for _, w := range late {
		w.end(d, why)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = d.conn.Close(ctx) // it is of no more use
}

func (d *DB) isLost() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.why != nil
}

// gather takes what is in line when the first of it is due; nothing when the DB is closed and all is
// written. What comes while a transaction is under way shares the next.
func (d *DB) gather() []*write {
	for {
		d.mu.Lock()
		n, left, closed := len(d.line), time.Until(d.due), d.closed
		if n > 0 && (left <= 0 || closed || n >= maxBatch) {
			defer d.mu.Unlock()
			batch := d.line[:min(n, maxBatch)]
			d.line = d.line[len(batch):]
			d.due = time.Now() // of what is left
			d.room.Broadcast()
			return batch
		}
		d.mu.Unlock()
		switch {
		case n == 0 && closed:
			return nil
		case n == 0:
			<-d.wake
		default:
			late := time.NewTimer(left)
			select {
			case <-d.wake:
			case <-late.C:
			}
			late.Stop()
		}
	}
}

// commit does a batch in one transaction: at first in one piece, which any failure undoes, and if one of
// its statements has failed then write by write. The error says that the DB is lost.
func (d *DB) commit(batch []*write) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	if err := d.together(ctx, batch); err == nil || d.conn.IsClosed() {
		return err
	}
	return d.oneByOne(ctx, batch)
}

// together sends a batch at once; the server takes it as one transaction, which ends with the last statement. Whether the
// fence was what failed cannot be told: the statements are prepared before it, all of them.
func (d *DB) together(ctx context.Context, batch []*write) error {
	p := &pgx.Batch{}
	if d.fence != nil {
		p.Queue(d.text(d.fence.Query), d.fence.Args...)
	}
	for _, w := range batch {
		d.queue(p, w)
	}
	if p.Len() == 0 { // a write of nothing only waits for those before it
		return nil
	}
	results := d.conn.SendBatch(ctx, p)
	var err error
	if d.fence != nil {
		_, err = results.Exec()
	}
	for _, w := range batch {
		if err == nil {
			err = w.read(results)
		}
	}
	return errors.Join(err, results.Close())
}

func (d *DB) queue(p *pgx.Batch, w *write) {
	for _, s := range w.stmts {
		p.Queue(d.text(s.Query), s.Args...)
	}
}

// read takes the server's answers to a write's statements.
func (w *write) read(results pgx.BatchResults) error {
	for i := range w.stmts {
		tag, err := results.Exec()
		if err != nil {
			return err
		}
		if i == 0 {
			w.affected = tag.RowsAffected()
		}
	}
	return nil
}

// oneByOne does a batch in one transaction in which a write that fails leaves no trace and
// does not hurt the others.
func (d *DB) oneByOne(ctx context.Context, batch []*write) error {
	tx, err := d.conn.Begin(ctx)
	if err != nil {
		return err
	}
	if d.fence != nil {
		if _, err := tx.Exec(ctx, d.text(d.fence.Query), d.fence.Args...); err != nil {
			return errors.Join(err, tx.Rollback(ctx))
		}
	}
	for _, w := range batch {
		// On its own, as a batch begins with preparing its statements, which may be what fails.
		if _, err := tx.Exec(ctx, "SAVEPOINT one"); err != nil {
			return err
		}
		p := &pgx.Batch{}
		d.queue(p, w)
		p.Queue("RELEASE SAVEPOINT one")
		results := tx.SendBatch(ctx, p)
		err := w.read(results)
		if err = errors.Join(err, results.Close()); err == nil {
			continue
		}
		if d.conn.IsClosed() {
			return err
		}
		w.err = err
		if _, err := tx.Exec(ctx, "ROLLBACK TO SAVEPOINT one"); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}
