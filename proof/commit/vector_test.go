package commit_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/transcript"
)

// TestVector: a vector of any size opens to what its extension is at the point, and a changed opening is refused.
func TestVector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cells := make([]uint32, rapid.IntRange(1, 6000).Draw(t, "cells"))
		script := new(transcript.Transcript)
		for i := range cells {
			cells[i] = uint32(uint64(i)*2654435761%field.P) >> (i % 31)
		}
		v, err := commit.NewVector(cells)
		if err != nil {
			t.Fatal(err)
		}
		s := script.Point(v.Point())
		other := *script
		o := v.Open(script, s)
		changed := rapid.IntRange(-1, 4).Draw(t, "changed")
		switch one := new(field.Ext).SetOne(); changed {
		case 0:
			o.Row[3].Add(&o.Row[3], one)
		case 1:
			o.Mix[3].Add(&o.Mix[3], one)
		case 2:
			o.Columns[7].Values[0] ^= 1
		case 3:
			o.Columns[7].Path[1][0] ^= 1
		case 4:
			last := len(o.Columns) - 1
			if slices.Equal(o.Columns[3].Path, o.Columns[last].Path) {
				return // they are one column, or those of a constant: that is no change
			}
			o.Columns[3], o.Columns[last] = o.Columns[last], o.Columns[3]
		}
		got, err := v.Grid.Verify(&other, v.Root(), s, o)
		if changed >= 0 {
			if !errors.Is(err, commit.ErrVector) {
				t.Fatalf("change %d: %v", changed, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		all := make([]field.Ext, 1<<v.Point())
		field.Lift(all, cells)
		if want := field.Dot(field.Eq(s), all); !got.Equal(&want) {
			t.Fatalf("it opens to %v, want %v", &got, &want)
		}
	})
}

// TestVectorLimits: what is too large is refused.
func TestVectorLimits(t *testing.T) {
	for _, n := range []int{-1, 0, 1 << 30} {
		if _, err := commit.NewGrid(n); !errors.Is(err, commit.ErrShape) {
			t.Errorf("%d cells: %v", n, err)
		}
	}
	g, err := commit.NewGrid(1 << 21)
	if err != nil || g.Rows > 1<<16 || g.Point() > 24 {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := g.Verify(new(transcript.Transcript), [32]byte{}, make([]field.Ext, g.Point()), commit.VectorOpening{}); !errors.Is(err, commit.ErrVector) {
		t.Errorf("an empty opening: %v", err)
	}
}
