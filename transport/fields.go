package transport

import "github.com/essaim/essaim/internal/wire"

// The messages of every attempt, named field by field: see package wire. Those that say
// that something is wrong are left to the library.

// Fields is for package wire.
func (o *Offer) Fields(c *wire.Coder) {
	c.Map(5+wire.Count(o.Trace != ""), func() {
		wire.Bytes(c, "\x01", &o.Task)
		wire.Bytes(c, "\x02", &o.Input)
		wire.Uint(c, "\x03", &o.Attempt)
		wire.Uint(c, "\x04", &o.UnitPrice)
		wire.Int(c, "\x05", &o.Deadline)
		wire.MoreText(c, "\x06", &o.Trace)
	})
}

// Fields is for package wire.
func (r *Report) Fields(c *wire.Coder) {
	if r.Failure != nil || r.Commit != nil {
		c.Unnamed()
		return
	}
	c.Map(wire.Count(r.Update != nil, r.Result != nil), func() {
		if c.Has("\x01", r.Update != nil) {
			if c.Reading() {
				r.Update = new(Update)
			}
			r.Update.Fields(c)
		}
		if c.Has("\x02", r.Result != nil) {
			if c.Reading() {
				r.Result = new(Result)
			}
			r.Result.Fields(c)
		}
	})
}

// Fields is for package wire.
func (u *Update) Fields(c *wire.Coder) {
	c.Map(2+wire.Count(len(u.Part) > 0), func() {
		wire.Uint(c, "\x01", &u.Step)
		wire.Uint(c, "\x02", &u.Steps)
		wire.More(c, "\x03", &u.Part)
	})
}

// Fields is for package wire.
func (r *Result) Fields(c *wire.Coder) {
	c.Map(2+wire.Count(len(r.Salt) > 0), func() {
		wire.Bytes(c, "\x01", &r.Receipt)
		wire.Bytes(c, "\x02", &r.Sealed)
		wire.More(c, "\x03", &r.Salt)
	})
}

// Fields is for package wire.
func (a *Acked) Fields(c *wire.Coder) {
	if a.Refusal != nil || a.Reveal {
		c.Unnamed()
		return
	}
	c.Map(wire.Count(len(a.Ack) > 0), func() { wire.More(c, "\x01", &a.Ack) })
}
