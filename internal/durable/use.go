package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// InUse reports whether anybody has a file open, in this process or another. If nobody has, what
// waited in its log is folded into it, and its pages are checked.
//
// Errors: if it is no SQLite file, or is damaged.
func InUse(path string) (bool, error) {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{
		"mode": {"rw"}, "_pragma": {"busy_timeout(0)", "locking_mode(EXCLUSIVE)"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return false, err
	}
	db.SetMaxOpenConns(1)
	var found string
	_, err = db.ExecContext(context.Background(), "BEGIN EXCLUSIVE; COMMIT")
	if err == nil {
		err = db.QueryRowContext(context.Background(), "PRAGMA quick_check(1)").Scan(&found)
	}
	err = errors.Join(err, db.Close())
	if e := new(sqlite.Error); errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY {
		return true, nil
	}
	if err == nil && found != "ok" {
		err = fmt.Errorf("damaged: %s", found)
	}
	return false, err
}
