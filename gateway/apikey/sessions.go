package apikey

import (
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// Tasks that are in doubt, and the sessions that pay for API keys' users. A session's
// secret key is here as long as the session is open.
const sessionSchema = `
CREATE TABLE IF NOT EXISTS tasks (
	task    BLOB PRIMARY KEY,
	session INTEGER NOT NULL,
	account TEXT NOT NULL -- the reservation that it was handed in for
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
	id     INTEGER PRIMARY KEY,
	opened INTEGER NOT NULL, -- Unix milliseconds
	saved  BLOB              -- by client.Session.Save; NULL: it is closed
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_open ON sessions (id) WHERE saved IS NOT NULL;
`

// Session is one that the gateway pays from.
type Session struct {
	ID     essaim.SessionID
	Opened time.Time
	Saved  []byte // for client.Restore; nil: it is closed
}

// AddSession keeps a session that was opened.
func (s *Store) AddSession(x Session) error {
	add := durable.Stmt{Query: `INSERT INTO sessions (id, opened, saved) VALUES (?, ?, ?)`, Args: []any{int64(x.ID), x.Opened.UnixMilli(), x.Saved}}
	if s.shared {
		add = s.addShared(x)
	}
	if _, err := s.file.Write(add); err != nil {
		return fault("keep a session", err)
	}
	return nil
}

// keepSession is the statement that keeps what a session has become; it opens none again.
func keepSession(id essaim.SessionID, saved []byte) durable.Stmt {
	return durable.Stmt{Query: `UPDATE sessions SET saved = ? WHERE id = ? AND saved IS NOT NULL`, Args: []any{saved, int64(id)}}
}

// CloseSession forgets the key of a session that is over.
func (s *Store) CloseSession(id essaim.SessionID) error {
	if _, err := s.file.Write(durable.Stmt{Query: `UPDATE sessions SET saved = NULL WHERE id = ?`, Args: []any{int64(id)}}); err != nil {
		return fault("close a session", err)
	}
	return nil
}

// OpenSessions lists the sessions that are not closed, oldest first, for who takes them up. Of several instances' those whose instance is gone
// are listed, once: from then on they are this one's.
func (s *Store) OpenSessions(ctx context.Context) ([]Session, error) {
	if s.shared {
		return s.adopt(ctx)
	}
	return s.sessions(ctx, `SELECT id, opened, saved FROM sessions WHERE saved IS NOT NULL ORDER BY id`)
}

func (s *Store) sessions(ctx context.Context, query string) ([]Session, error) {
	rows, err := s.file.Query(ctx, query)
	if err != nil {
		return nil, fault("read the sessions", err)
	}
	defer rows.Close()
	var out []Session
	for rows.Next() {
		var id, opened int64
		var x Session
		if err := rows.Scan(&id, &opened, &x.Saved); err != nil {
			return nil, fault("read the sessions", err)
		}
		x.ID, x.Opened = essaim.SessionID(id), time.UnixMilli(opened).UTC()
		out = append(out, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fault("read the sessions", err)
	}
	return out, nil
}
