package quant_test

import (
	"testing"

	"github.com/essaim/essaim/quant"
)

func TestRoomGivesMemoryAgain(t *testing.T) {
	var r quant.Room
	a, b := r.Wide(2, 300), r.Narrow(3, 5)
	if len(a.Wide) != 600 || a.Vectors != 2 || len(b.Narrow) != 15 || b.Vectors != 3 {
		t.Fatalf("%d int32 in %d vectors, %d int16 in %d", len(a.Wide), a.Vectors, len(b.Narrow), b.Vectors)
	}
	first := &a.Wide[0]
	r.Free(a, b)
	if c := r.Wide(1, 513); &c.Wide[0] != first || len(c.Wide) != 513 {
		t.Error("memory that was given back is not used again")
	}
	if d := r.Wide(1, 513); &d.Wide[0] == first {
		t.Error("memory is used twice at the same time")
	}
	words := r.Words(10)
	r.FreeWords(words)
	if again := r.Words(12); &again[0] != &words[0] {
		t.Error("words that were given back are not used again")
	}
}

func TestNoRoom(t *testing.T) {
	var r *quant.Room
	a := r.Wide(2, 3)
	r.Free(a)
	r.FreeWords(r.Words(4))
	if b := r.Narrow(1, 0); len(a.Wide) != 6 || b.Narrow == nil || r.Wide(1, 6).Wide[0] != 0 {
		t.Errorf("%+v and %+v", a, b)
	}
	done := 0
	if r.Each(3, func(int) { done++ }); done != 3 {
		t.Errorf("%d of 3 done", done)
	}
}

// TestWatchersKeepWhatTheyWereShown: with a watcher freed values stay as they are.
func TestWatchersKeepWhatTheyWereShown(t *testing.T) {
	for _, watched := range []bool{true, false} {
		tape := &quant.Tape{Room: new(quant.Room)}
		if watched {
			tape.Watch = func(quant.Op) {}
		}
		one := quant.Value{Vectors: 1, Wide: []int32{1}}
		a := tape.Do("a", quant.Sum{}, one, one)
		tape.Free(a)
		b := tape.Do("b", quant.Sum{}, one, one)
		if again := &a.Wide[0] == &b.Wide[0]; again == watched {
			t.Errorf("watched %v: memory used again %v", watched, again)
		}
	}
}
