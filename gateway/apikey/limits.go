package apikey

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/standing"
)

// Limits bound a key besides its deposit. Zero fields bound nothing.
type Limits struct {
	Expires   time.Time     `json:"expires,omitzero"`
	PerMinute int           `json:"per_minute,omitempty"` // requests
	PerDay    essaim.Amount `json:"per_day,omitempty"`    // spent and reserved in a day of UTC
}

const limitSchema = `
CREATE TABLE IF NOT EXISTS limits (
	key        TEXT PRIMARY KEY,
	expires    INTEGER NOT NULL, -- Unix seconds; 0: never
	per_minute INTEGER NOT NULL,
	per_day    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (
	key    TEXT NOT NULL,
	day    INTEGER NOT NULL, -- since 1970, UTC
	amount INTEGER NOT NULL,
	PRIMARY KEY (key, day)
) STRICT, WITHOUT ROWID;
`

// A day's spending is counted by the database itself, so that a request need not add up
// what was before. A key's ID has ten characters, behind "reserved/" or "key/".
const daySchema = `
DROP TRIGGER IF EXISTS days_count; -- it knew "reserved/" alone
CREATE TRIGGER IF NOT EXISTS days_counted AFTER INSERT ON entries WHEN NEW.kind = 'capture' BEGIN
	INSERT INTO days (key, day, amount) VALUES (substr(NEW.source, instr(NEW.source, '/') + 1, 10), NEW.at / 86400000, NEW.amount)
		ON CONFLICT (key, day) DO UPDATE SET amount = amount + excluded.amount;
END;
`

// SetLimits sets what bounds a key, all of it. It holds from the next request on.
//
// Errors: CodeBadInput, CodeNotFound.
func (s *Store) SetLimits(ctx context.Context, id string, l Limits) error {
	if err := checkAmount(l.PerDay); err != nil {
		return err
	}
	if l.PerMinute < 0 {
		return essaim.Errorf(essaim.CodeBadInput, "0 is no limit", "%d requests a minute", l.PerMinute)
	}
	if _, err := s.Key(ctx, id); err != nil {
		return err
	}
	expires := int64(0)
	if !l.Expires.IsZero() {
		expires = l.Expires.Unix()
	}
	defer s.forgetKey(id)
	_, err := s.file.Write(durable.Stmt{
		Query: `INSERT INTO limits (key, expires, per_minute, per_day) VALUES (?, ?, ?, ?)
			ON CONFLICT (key) DO UPDATE SET expires = excluded.expires, per_minute = excluded.per_minute, per_day = excluded.per_day`,
		Args: []any{id, expires, l.PerMinute, int64(l.PerDay)},
	})
	if err != nil {
		return fault("set limits", err)
	}
	return nil
}

// usable says why a key may not be used at all.
//
// Errors: CodeRefused.
func (k Key) usable(now time.Time) error {
	what := ""
	switch {
	case k.Revoked:
		what = "the API key was revoked"
	case !k.Limits.Expires.IsZero() && !now.Before(k.Limits.Expires):
		what = "the API key has expired"
	default:
		return nil
	}
	return essaim.Errorf(essaim.CodeRefused, "ask the gateway's operator for a key", "%s", what)
}

// withinDay checks that a key may reserve so much more today.
//
// Errors: CodeInsufficient.
func (s *Store) withinDay(ctx context.Context, k Key, amount essaim.Amount, n int, now time.Time) error {
	if k.Limits.PerDay == 0 {
		return nil
	}
	var spent int64
	err := s.file.QueryRow(ctx, `SELECT amount FROM days WHERE key = ? AND day = ?`, k.ID, now.UnixMilli()/(24*time.Hour).Milliseconds()).Scan(&spent)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fault("read a day", err)
	}
	more, ok := amount.Mul(uint64(n))
	if all := essaim.Amount(spent) + k.Reserved; !ok || all > k.Limits.PerDay || more > k.Limits.PerDay-all {
		return essaim.Errorf(essaim.CodeInsufficient, "wait for tomorrow, UTC, or ask the gateway's operator", "the request may cost %d times %s, the key may spend %s a day and has spent or reserved %s", n, amount, k.Limits.PerDay, all)
	}
	return nil
}

// mayCount checks that a key has not had too many requests in the last minute. The lock is
// held.
//
// Errors: CodeUnavailable with ErrBusy.
func (s *Store) mayCount(k Key, now time.Time) error {
	most := k.Limits.PerMinute
	if most == 0 {
		return nil
	}
	last := s.recent[k.ID]
	for len(last) > 0 && now.Sub(last[0]) >= time.Minute {
		last = last[1:]
	}
	s.recent[k.ID] = last
	if len(last) >= most {
		err := essaim.Errorf(essaim.CodeUnavailable, "wait a minute", "%d requests in a minute: %w", len(last), ErrBusy)
		return standing.Later(err, last[len(last)-most].Add(time.Minute).Sub(now))
	}
	return nil
}

// count counts a request. The lock is held.
func (s *Store) count(k Key, now time.Time) {
	if k.Limits.PerMinute > 0 {
		s.recent[k.ID] = append(s.recent[k.ID], now)
	}
}
