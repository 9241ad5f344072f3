package client

import (
	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/wire"
)

// The frames of every task, named field by field: see package wire. Those that tell of an
// error are left to the library.

// Fields is for package wire.
func (s *Submitted) Fields(c *wire.Coder) {
	c.Map(2+wire.Count(len(s.Voucher) > 0, len(s.Consent) > 0, s.Conversation != ""), func() {
		wire.Bytes(c, "\x01", &s.Task)
		wire.Bytes(c, "\x02", &s.Input)
		wire.More(c, "\x03", &s.Voucher)
		wire.More(c, "\x04", &s.Consent)
		wire.MoreText(c, "\x05", &s.Conversation)
	})
}

// Fields is for package wire.
func (e *Event) Fields(c *wire.Coder) {
	if e.Error != nil {
		c.Unnamed()
		return
	}
	c.Map(1+wire.Count(e.Progress != nil, e.Delivery != nil), func() {
		wire.Int(c, "\x01", &e.N)
		if c.Has("\x02", e.Progress != nil) {
			if c.Reading() {
				e.Progress = new(essaim.Progress)
			}
			progressFields(c, e.Progress)
		}
		if c.Has("\x03", e.Delivery != nil) {
			if c.Reading() {
				e.Delivery = new(essaim.Delivery)
			}
			deliveryFields(c, e.Delivery)
		}
	})
}

func deliveryFields(c *wire.Coder, d *essaim.Delivery) {
	c.Map(3, func() {
		wire.Fixed(c, "\x64task", d.Task[:])
		wire.Bytes(c, "\x66sealed", &d.Sealed)
		wire.Bytes(c, "\x67receipt", &d.Receipt)
	})
}

func progressFields(c *wire.Coder, p *essaim.Progress) {
	c.Map(6+wire.Count(len(p.Part) > 0, p.Note != ""), func() {
		wire.MoreText(c, "\x64note", &p.Note)
		wire.More(c, "\x64part", &p.Part)
		wire.Int(c, "\x64step", &p.Step)
		wire.Fixed(c, "\x64task", p.Task[:])
		wire.Fixed(c, "\x65miner", p.Miner[:])
		wire.Text(c, "\x65state", &p.State)
		wire.Int(c, "\x65steps", &p.Steps)
		wire.Uint(c, "\x67attempt", &p.Attempt)
	})
}
