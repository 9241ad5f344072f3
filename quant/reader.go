package quant

import (
	"fmt"
	"slices"
)

// A Reader takes a model's layers out of a weights file, by the names that layers have
// there (docs/protocol/weights.md). It keeps the first error, so that a model is
// read without a check after each tensor: look at Err in the end, and use nothing if it
// is not nil.
type Reader struct {
	all Tensors
	err error
}

// NewReader reads a weights file, which must not change afterwards.
func NewReader(file []byte) *Reader {
	all, err := ReadTensors(file)
	return &Reader{all, err}
}

// Reader reads tensors that were taken apart already. Of a public part, matrices have no
// weights: their products must be given.
func (t Tensors) Reader() *Reader { return &Reader{all: t} }

// Err is the first error. It wraps ErrFormat.
func (r *Reader) Err() error { return r.err }

// Tensor is the tensor of this name, type and shape; empty if there is none.
func (r *Reader) Tensor(name string, typ Type, shape ...int) Tensor {
	t, err := r.all.Get(name, typ, shape...)
	if r.err == nil {
		r.err = err
	}
	return t
}

// Matrix is NAME.w and, if there is to be one, NAME.bias.
func (r *Reader) Matrix(name string, rows, cols int, bias bool) Matrix {
	m := Matrix{Rows: rows, Cols: cols, W: r.Tensor(name+".w", Int8, rows, cols).Int8()}
	if bias {
		m.Bias = r.Tensor(name+".bias", Int32, rows).Int32()
	}
	return m
}

// Linear is NAME.w, NAME.mul and, if there is to be one, NAME.bias.
func (r *Reader) Linear(name string, rows, cols int, bias bool) Linear {
	return Linear{r.Matrix(name, rows, cols, bias), r.Scale(name, rows)}
}

// Table is the int16 tensor of this name, n long, as a function from first on.
func (r *Reader) Table(name string, first int32, n int) Table {
	return Table{First: first, Out: r.Tensor(name, Int16, n).Int16()}
}

// Flow is the int16 tensor of this name, n long, as a table of differences from first on.
func (r *Reader) Flow(name string, first int32, n int) Flow {
	t := r.Table(name, first, n)
	if r.err != nil {
		return Flow{}
	}
	f, err := NewFlow(t)
	r.err = err
	return f
}

// Scale is NAME.mul with n factors.
func (r *Reader) Scale(name string, n int) Scale {
	t := r.Tensor(name+".mul", Int32, n)
	outside := func(m int32) bool { return m < 0 || m >= 1<<16 }
	if r.err == nil && (t.Shift < 1 || t.Shift > 46 || slices.ContainsFunc(t.Int32(), outside)) {
		r.err = fmt.Errorf("%w: %s.mul has shift %d, want 1 to 46, or a factor beyond 0 to 65535", ErrFormat, name, t.Shift)
	}
	return Scale{Mul: t.Int32(), Shift: t.Shift}
}
