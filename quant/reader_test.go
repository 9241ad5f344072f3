package quant_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/essaim/essaim/quant"
)

func TestReader(t *testing.T) {
	bias := entry{name: "a.bias", typ: quant.Int32, dims: 1, shape: [4]uint32{1}, data: []byte{5, 0, 0, 0}}
	one := entry{name: "b.mul", typ: quant.Int32, dims: 1, shift: 9, shape: [4]uint32{1}, data: []byte{3, 0, 0, 0}}
	file := weightsFile(bias, tensorA, one)

	r := quant.NewReader(file)
	m, scale := r.Matrix("a", 1, 3, true), r.Scale("b", 1)
	switch {
	case r.Err() != nil:
		t.Error(r.Err())
	case !slices.Equal(m.W, []int8{1, -128, -1}) || !slices.Equal(m.Bias, []int32{5}) || m.Rows != 1 || m.Cols != 3:
		t.Errorf("matrix %+v", m)
	case scale.Mul[0] != 3 || scale.Shift != 9:
		t.Errorf("scale %+v", scale)
	}
	if m := r.Matrix("a", 1, 3, false); m.Bias != nil {
		t.Errorf("a bias that nobody asked for: %v", m.Bias)
	}
}

func TestReaderKeepsItsFirstError(t *testing.T) {
	r := quant.NewReader(weightsFile(tensorA))
	r.Scale("nothing", 3)
	first := r.Err()
	if r.Matrix("a", 1, 3, true); !errors.Is(first, quant.ErrFormat) || r.Err() != first {
		t.Errorf("errors %v, then %v", first, r.Err())
	}
	if r := quant.NewReader(nil); r.Scale("a", 3).Mul != nil || !errors.Is(r.Err(), quant.ErrFormat) {
		t.Errorf("an empty file: error %v", r.Err())
	}
}

func TestFactorsOutOfRangeAreRefused(t *testing.T) {
	good := entry{name: "a.mul", typ: quant.Int32, dims: 1, shift: 20, shape: [4]uint32{1}, data: []byte{0xff, 0xff, 0, 0}}
	for why, change := range map[string]func(*entry){
		"no shift":       func(e *entry) { e.shift = 0 },
		"large shift":    func(e *entry) { e.shift = 47 },
		"large factor":   func(e *entry) { e.data = []byte{0, 0, 1, 0} },
		"below 0":        func(e *entry) { e.data = []byte{0xff, 0xff, 0xff, 0xff} },
		"nothing at all": nil,
	} {
		e := good
		if change != nil {
			change(&e)
		}
		r := quant.NewReader(weightsFile(e))
		r.Scale("a", 1)
		if failed := r.Err() != nil; failed != (change != nil) {
			t.Errorf("%s: error %v", why, r.Err())
		}
	}
}
