package desk

import (
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
)

// MaxPreviews bounds the previews of a picture.
const MaxPreviews = 8

// Shown is a picture that is not finished. It is the miner's word alone: no receipt speaks of it,
// and nothing is charged for it.
type Shown struct {
	File []byte // PNG
}

// filled is an order under way or done.
type filled struct {
	pictures []Picture
	cost     essaim.Amount
	err      error
}

// FillShown is Fill for who looks on: each is called with what is shown meanwhile, and with nil
// after a while of silence, so that the connection is kept. When the reader has left, each fails
// and is called no more. Of a slow reader's previews some are dropped.
func (d *Desk) FillShown(ctx context.Context, key apikey.Key, o Order, each func(*Shown) error) ([]Picture, essaim.Amount, error) {
	shown, done := make(chan *Shown, MaxPreviews), make(chan filled, 1)
	o.Preview = func(file []byte) {
		select {
		case shown <- &Shown{file}:
		default:
		}
	}
	go func() {
		var f filled
		defer func() {
			if x := recover(); x != nil {
				f.err = essaim.Errorf(essaim.CodeInternal, "", "panic in a picture: %v", x)
			}
			done <- f
		}()
		f.pictures, f.cost, f.err = d.Fill(ctx, key, o)
	}()
	gone := false
	say := func(s *Shown) {
		if !gone {
			gone = each(s) != nil
		}
	}
	tick := time.NewTicker(KeepAlive)
	defer tick.Stop()
	for {
		select {
		case s := <-shown:
			say(s)
		case <-tick.C:
			say(nil)
		case f := <-done:
			for len(shown) > 0 {
				say(<-shown)
			}
			return f.pictures, f.cost, f.err
		}
	}
}
