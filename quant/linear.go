package quant

// A Linear layer is a product and the change of unit after it.
type Linear struct {
	Matrix
	Scale
}

// Sums computes the layer's product on a tape.
func (l *Linear) Sums(t *Tape, name string, x Value) Value {
	return t.Do(name, Product{&l.Matrix}, x)
}

// Activated computes the layer's output as activations within lo..hi.
func (l *Linear) Activated(t *Tape, name string, x Value, lo, hi int16) Value {
	sums := l.Sums(t, name, x)
	out := t.Do(name, Activate{l.Scale, lo, hi}, sums)
	t.Free(sums)
	return out
}

// Rescaled computes the layer's output as wide values.
func (l *Linear) Rescaled(t *Tape, name string, x Value) Value {
	sums := l.Sums(t, name, x)
	out := t.Do(name, Rescale{l.Scale}, sums)
	t.Free(sums)
	return out
}
