package miner_test

import (
	"bytes"
	"image/png"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/transport"
)

// TestPreviews: as many as were asked for are spread over the steps, each opens with its step's own
// name only, the last step shows none, and nobody who has not asked sees one.
func TestPreviews(t *testing.T) {
	fake := enginetest.FakeModel()
	for _, c := range []struct {
		ask  uint32
		want []uint32 // steps of 8 that show one
	}{{0, nil}, {1, []uint32{4}}, {3, []uint32{2, 4, 6}}, {100, []uint32{1, 2, 3, 4, 5, 6, 7}}} {
		d := newDesk(t, &enginetest.Fake{}, func(cfg *miner.Config) { cfg.Offers = []essaim.Offer{{Model: fake.Digest, UnitPrice: price}} })
		o, task := d.offer(1, func(task *essaim.Task, in *essaim.Input, _ *transport.Offer) {
			task.Model, task.Steps = fake.Digest, 8
			in.Previews = c.ask
		})
		s := d.send(d.conn(), o)
		var got []uint32
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
			got = append(got, r.Update.Step)
			file, err := d.reply.Parts(task.PreviewInfo(1, r.Update.Step)).Open(r.Update.Part)
			if err != nil {
				t.Fatal(err)
			}
			if m, err := png.Decode(bytes.NewReader([]byte(file))); err != nil || m.Bounds().Dx() != 8 {
				t.Errorf("step %d shows %v, %v", r.Update.Step, m, err)
			}
			if _, err := d.reply.Parts(task.PreviewInfo(1, r.Update.Step+1)).Open(r.Update.Part); err == nil {
				t.Error("a preview opens as another step's")
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d are asked for: steps %v, want %v", c.ask, got, c.want)
		}
	}
}
