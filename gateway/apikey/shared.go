package apikey

import (
	"context"

	"github.com/essaim/essaim/gateway/once"
	"github.com/essaim/essaim/internal/durable"
)

// Books that several instances of a coordinator share are rows of a PostgreSQL database, which decide every reservation: each write is one
// transaction, and one goes after the other (Turn). What an instance has begun has its name in it, so that the others decide what is left
// of one that may not write any more: it is not in the table of instances, which package coordinator/cluster has, and
// nothing that it begins then gets into the rows.

// Turn is the expression that each transaction on shared books must evaluate first, besides what says who may write: it waits until no
// other one is under way.
const Turn = `pg_advisory_xact_lock(7522259)`

// SharedSchema and SharedOwn are the tables of shared books: the first in the words of SQLite, what follows in PostgreSQL's own.
const SharedSchema = keySchema + sessionSchema + limitSchema + once.Schema

// SharedOwn follows SharedSchema. References are compared byte by byte, whatever language the database is in. Entries are numbered without gaps,
// since who writes one is alone.
const SharedOwn = `
CREATE TABLE IF NOT EXISTS entries (
	id     BIGINT PRIMARY KEY,
	at     BIGINT NOT NULL, -- Unix milliseconds
	kind   TEXT NOT NULL,   -- of Kind
	source TEXT COLLATE "C" NOT NULL,
	target TEXT COLLATE "C" NOT NULL,
	amount BIGINT NOT NULL CHECK (amount >= 0),
	ref    TEXT NOT NULL,
	task   BYTEA UNIQUE,    -- digest; of capture and cover
	UNIQUE (kind, ref)
);
CREATE TABLE IF NOT EXISTS balances (
	account TEXT COLLATE "C" PRIMARY KEY,
	amount  BIGINT NOT NULL,
	CHECK (amount >= 0 OR account = 'house' OR account LIKE 'deposits/%')
);
CREATE OR REPLACE FUNCTION entries_number() RETURNS TRIGGER AS $$ BEGIN
	NEW.id := (SELECT COALESCE(MAX(id), 0) + 1 FROM entries);
	RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE OR REPLACE FUNCTION entries_move() RETURNS TRIGGER AS $$ BEGIN
	INSERT INTO balances (account, amount) VALUES (NEW.source, 0), (NEW.target, 0) ON CONFLICT DO NOTHING;
	UPDATE balances SET amount = amount - NEW.amount WHERE account = NEW.source;
	UPDATE balances SET amount = amount + NEW.amount WHERE account = NEW.target;
	DELETE FROM balances WHERE account IN (NEW.source, NEW.target) AND amount = 0 AND account LIKE 'reserved/%';
	IF NEW.kind = 'capture' THEN
		INSERT INTO days AS d (key, day, amount) VALUES (substr(NEW.source, 10, 10), NEW.at / 86400000, NEW.amount)
			ON CONFLICT (key, day) DO UPDATE SET amount = d.amount + excluded.amount;
	END IF;
	RETURN NULL;
END $$ LANGUAGE plpgsql;
CREATE OR REPLACE FUNCTION entries_stay() RETURNS TRIGGER AS $$ BEGIN
	RAISE EXCEPTION 'entries are never removed or changed';
END $$ LANGUAGE plpgsql;
CREATE OR REPLACE TRIGGER entries_number BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION entries_number();
CREATE OR REPLACE TRIGGER entries_move AFTER INSERT ON entries FOR EACH ROW EXECUTE FUNCTION entries_move();
CREATE OR REPLACE TRIGGER entries_stay BEFORE DELETE OR UPDATE ON entries FOR EACH ROW EXECUTE FUNCTION entries_stay();
ALTER TABLE sessions ADD COLUMN IF NOT EXISTS owner TEXT NOT NULL DEFAULT ''; -- the instance that pays from it
`

// OnShared is the books in a database that several instances share, in a space of their own, as the log has a table tasks, too. me names this one of
// them, or is empty for who only looks and deposits. The Store closes the database.
func OnShared(rows durable.DB, me string) *Store { return newStore(rows, nil, true, me) }

// elsewhere are conditions on a row's account and on its owner: that the instance which has made it may still write, and is another one.
// One statement sees one moment, and whoever is not in the table in that moment has nothing on its way into the rows.
const (
	elsewhere = `EXISTS (SELECT 1 FROM instances AS i WHERE i.id <> ? AND strpos(account, '/' || i.id || '.') > 0)`
	ownerHere = `EXISTS (SELECT 1 FROM instances AS i WHERE i.id = sessions.owner)`
)

// undone is a query of accounts with a condition on them, less those of instances that may still write.
func (s *Store) undone(query string) (all string, args []any) {
	if !s.shared {
		return query, nil
	}
	return query + ` AND NOT ` + elsewhere, []any{s.me}
}

// refs is what the references of a request's reservations begin with.
func (s *Store) refs(request string) string {
	if s.shared {
		return s.me + "." + request
	}
	return request
}

// addShared is the statement that keeps a session that this instance has opened.
func (s *Store) addShared(x Session) durable.Stmt {
	return durable.Stmt{
		Query: `INSERT INTO sessions (id, opened, saved, owner) VALUES (?, ?, ?, ?)`,
		Args:  []any{int64(x.ID), x.Opened.UnixMilli(), x.Saved, s.me},
	}
}

// adopt takes the open sessions of instances that are gone: each is one instance's.
func (s *Store) adopt(ctx context.Context) (mine []Session, err error) {
	left, err := s.sessions(ctx, `SELECT id, opened, saved FROM sessions WHERE saved IS NOT NULL AND NOT `+ownerHere+` ORDER BY id`)
	if err != nil {
		return nil, err
	}
	for _, x := range left {
		n, err := s.file.Write(durable.Stmt{
			Query: `UPDATE sessions SET owner = ? WHERE id = ? AND saved IS NOT NULL AND NOT ` + ownerHere, Args: []any{s.me, int64(x.ID)},
		})
		if err != nil {
			return mine, fault("take a session", err)
		}
		if n > 0 {
			mine = append(mine, x)
		}
	}
	return mine, nil
}
