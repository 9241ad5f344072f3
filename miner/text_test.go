package miner_test

import (
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/transport"
)

// TestParts: a text is sent part by part to who listens, and nothing of it before its end to who does not.
func TestParts(t *testing.T) {
	chat := enginetest.TalkerModels()[0]
	for _, whole := range []bool{false, true} {
		d := newDesk(t, &enginetest.Talker{Delay: 20 * time.Millisecond}, func(cfg *miner.Config) {
			cfg.Offers = []essaim.Offer{{Model: chat.Digest, UnitPrice: price / 1000}}
		})
		o, task := d.offer(1, func(task *essaim.Task, in *essaim.Input, o *transport.Offer) {
			in.Prompt = engine.Chat{Messages: []engine.Message{{Role: "user", Content: "one two three"}}}.Encode()
			in.Whole = whole
			task.Kind, task.Model, task.MaxUnits, task.Steps, o.UnitPrice = essaim.KindChat, chat.Digest, 200, 50, price/1000
		})
		s := d.send(d.conn(), o)
		parts, text, reader := 0, "", d.reply.Parts(task.PartsInfo(1))
		for last := false; !last; {
			var r transport.Report
			if err := s.Receive(&r, patience); err != nil {
				t.Fatalf("%v\n%s", err, d.logs)
			}
			if last = r.Update == nil; last && r.Result == nil {
				t.Fatalf("%+v", r.Failure)
			}
			if last || r.Update.Part == nil {
				continue
			}
			part, err := reader.Open(r.Update.Part)
			if err != nil {
				t.Fatal(err)
			}
			text += part
			parts++
		}
		if whole != (parts == 0) || !whole && !strings.HasPrefix("You said: one two three", text) {
			t.Errorf("whole %v: %d parts, %q", whole, parts, text)
		}
	}
}
