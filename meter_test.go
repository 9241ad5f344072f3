package essaim_test

import (
	"bytes"
	"testing"

	"github.com/essaim/essaim"
)

func TestMeters(t *testing.T) {
	for _, c := range []struct{ got, want uint64 }{
		{essaim.TokenUnits(0, 0), 1}, {essaim.TokenUnits(1, 0), 1}, {essaim.TokenUnits(4, 7), 8}, {essaim.TokenUnits(5, 7), 9}, {essaim.TokenUnits(8, 1<<64-2), 1},
		{essaim.PixelUnits(1024, 1024, 20), 20}, {essaim.PixelUnits(512, 512, 20), 5}, {essaim.PixelUnits(513, 512, 20), 6}, {essaim.PixelUnits(8, 8, 0), 1},
		{essaim.MeterTask.Most(1000, 1024, 1024, 20), 1}, {essaim.MeterToken.Most(1000, 0, 0, 100), 414}, {essaim.MeterPixelStep.Most(1000, 1024, 1024, 20), 20},
	} {
		if c.got != c.want {
			t.Errorf("%d, want %d", c.got, c.want)
		}
	}
}

// TestMeteredTasks: the field is in the signed bytes if it says something, and not otherwise,
// so that tasks of the other kinds keep their bytes.
func TestMeteredTasks(t *testing.T) {
	plain := testTask()
	metered := plain
	metered.Kind, metered.MaxUnits = essaim.KindChat, 300
	for _, task := range []essaim.Task{plain, metered} {
		signed, err := essaim.SignTask(task, testKey("session"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := mode(t).Marshal(task)
		if err != nil || !bytes.Contains(signed, want) {
			t.Errorf("a CBOR library writes %x (%v), we %x", want, err, signed)
		}
		if got, _, err := essaim.OpenTask(signed); err != nil || got != task {
			t.Errorf("%+v comes back as %+v: %v", task, got, err)
		}
	}
	for units, want := range map[uint64]bool{0: false, 1: true, 2: false} {
		if plain.Counts(units) != want {
			t.Errorf("%d units of a task of one: %v", units, !want)
		}
	}
	for units, want := range map[uint64]bool{0: false, 1: true, 300: true, 301: false} {
		if metered.Counts(units) != want {
			t.Errorf("%d units of at most 300: %v", units, !want)
		}
	}
	for steps, want := range map[uint32]bool{0: true, 1: true, 2: true, 3: false} {
		r := testReceipt(metered)
		r.Steps = steps
		if err := r.Binds(metered); (err == nil) != want {
			t.Errorf("%d tokens of at most 2: %v", steps, err)
		}
	}
}
