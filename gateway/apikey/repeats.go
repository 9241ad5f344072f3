package apikey

import (
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/once"
	"github.com/essaim/essaim/internal/durable"
)

// Keep says where the result of a part's task is kept: in a blob store, by the digest of its receipt file. It is for who sends the
// request again, and goes before Capture.
func (p *Part) Keep(receipt essaim.Digest) { p.result = receipt }

// onceNamed is what Name writes besides, of a request that is to be done once.
func (p *Part) onceNamed(task essaim.Digest) []durable.Stmt {
	if p.hold.once == nil {
		return nil
	}
	return []durable.Stmt{p.hold.once.Named(task, p.n)}
}

// onceCaptured is what Capture writes besides.
func (p *Part) onceCaptured(task essaim.Digest) []durable.Stmt {
	if p.hold.once == nil {
		return nil
	}
	return []durable.Stmt{p.hold.once.Captured(task, p.n, p.result)}
}

// Claim takes a request under way that is to be done once: of several instances that share the books, one at a time has it. The caller frees it
// when its tasks are over. In one process there are no two requests of a name under way, which package jobs sees to.
//
// Errors: CodeUnavailable if another instance has it.
func (s *Store) Claim(r *once.Request) (free func(), err error) {
	if !s.shared {
		return func() {}, nil
	}
	n, err := s.file.Write(r.Claim(s.me))
	if err != nil {
		return nil, fault("claim a request", err)
	}
	if n == 0 {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "come again in a moment", "another instance of this gateway has the request under way")
	}
	return func() { _, _ = s.file.Write(r.Free(s.me)) }, nil // what cannot write any more has no claims
}

// Repeat says what is to be done of a request that may have been sent before: see once.Request.Decide.
func (s *Store) Repeat(ctx context.Context, r *once.Request) error {
	if err := s.catchUp(); err != nil {
		return err
	}
	have, err := once.Find(ctx, s.file, r.Key, r.ID, time.Now())
	if err != nil {
		return fault("look up a request", err)
	}
	return r.Decide(have)
}

// ForgetRepeats drops what is remembered of requests that are too old to be sent again.
func (s *Store) ForgetRepeats(now time.Time) error {
	if _, err := s.file.Write(once.Forget(now)); err != nil {
		return fault("forget old requests", err)
	}
	return nil
}
