package client

import (
	"context"
	"crypto/ed25519"

	"github.com/essaim/essaim"
)

// Adopt takes up an open session by its key: for who has kept Config.Key before opening it, and was
// stopped before Save. What was drawn in it is not known, as after Restore.
//
// Errors: CodeRefused if the session has another key, CodeConflict if it is over.
func Adopt(ctx context.Context, cfg Config, id essaim.SessionID, key ed25519.PrivateKey) (*Session, error) {
	own := Session{cfg: cfg, key: key, record: essaim.Session{ID: id}}
	return Restore(ctx, cfg, own.Save())
}
