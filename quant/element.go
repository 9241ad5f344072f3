package quant

// An Element is one number of an operator's output.
type Element struct {
	Header
	Inputs []Header // of what the operator reads
	At     int      // the element's index among all of the output, vector after vector
}

// Place is the element's vector and its index there.
func (e Element) Place() (vector, at int) { return e.At / e.Elements, e.At % e.Elements }

// A Source gives the numbers that elements follow from. What it does not have it says is 0; it is the
// source's matter to remember that it was asked.
type Source interface {
	// In is an element of an input's output.
	In(input, at int) int32

	// Param is an element of a tensor of the model.
	Param(tensor string, at int) int32

	// Tensor is the number of a tensor's elements, and its shift.
	Tensor(name string) (elements int, shift uint)
}

// A Kind says what one element of an operator's output is, as a definition that Apply must agree with, not
// as a way to compute all of them. An element that much is needed for is computed in steps, so that few
// numbers show that one of them is wrong.
type Kind struct {
	// Steps is the number of steps, at least 1; nil: 1.
	Steps func(e Element) int

	// Step makes one, counted from 0, of the number that the step before made, 0 at first. The
	// last one's number is the element.
	Step func(e Element, step int, before int64, s Source) int64
}

// StepsOf is the number of steps to an element.
func (k Kind) StepsOf(e Element) int {
	if k.Steps == nil {
		return 1
	}
	return max(k.Steps(e), 1)
}

// Element computes an element from beginning to end.
func (k Kind) Element(e Element, s Source) int64 {
	v := int64(0)
	for i := range k.StepsOf(e) {
		v = k.Step(e, i, v, s)
	}
	return v
}

// once is a kind whose elements take one step.
func once(f func(e Element, s Source) int32) Kind {
	return Kind{Step: func(e Element, _ int, _ int64, s Source) int64 { return int64(f(e, s)) }}
}

// productStep is how many products one step adds up: as many activations as a block has bytes.
const productStep = BlockSize

// Kinds are the kinds of this package whose elements follow from their inputs and the model. Words is not among
// them: its output follows from the text.
func Kinds() map[string]Kind {
	return map[string]Kind{
		"gather": {
			Steps: func(e Element) int { return e.Inputs[0].Elements / 2 },
			Step:  gatherStep,
		},
		"product": {
			Steps: func(e Element) int { return (e.Inputs[0].Elements + productStep - 1) / productStep },
			Step:  productPart,
		},
		"sum": once(func(e Element, s Source) int32 {
			v, i := e.Place()
			return s.In(0, e.At) + s.In(1, min(v, e.Inputs[1].Vectors-1)*e.Elements+i)
		}),
		"rescale":  once(rescaled),
		"activate": once(func(e Element, s Source) int32 { return min(max(rescaled(e, s), e.Numbers[0]), e.Numbers[1]) }),
		"lookup": once(func(e Element, s Source) int32 {
			v, i := e.Place()
			return LookedUp(e.Layer, e.Numbers[0], s.In(0, v*e.Inputs[0].Elements+int(e.Numbers[1])+i), s)
		}),
	}
}

// LookedUp is what a table that begins at first says of v; see Table.
func LookedUp(table string, first, v int32, s Source) int32 {
	n, _ := s.Tensor(table)
	return s.Param(table, int(min(max(int64(v)-int64(first), 0), int64(n)-1)))
}

func rescaled(e Element, s Source) int32 {
	_, i := e.Place()
	_, shift := s.Tensor(e.Layer + ".mul")
	return Requantise(s.In(0, e.At), s.Param(e.Layer+".mul", i), shift)
}

// gatherStep adds one row's part.
func gatherStep(e Element, step int, before int64, s Source) int64 {
	v, i := e.Place()
	pair := v*e.Inputs[0].Elements + 2*step
	row, weight := s.In(0, pair), s.In(0, pair+1)
	if n, _ := s.Tensor(e.Layer); weight == 0 || row < 0 || int(row) >= n/e.Elements {
		return before
	}
	return int64(int32(before) + weight*s.Param(e.Layer, int(row)*e.Elements+i))
}

// productPart adds some products, and the bias with the first ones.
func productPart(e Element, step int, before int64, s Source) int64 {
	v, row := e.Place()
	n := e.Inputs[0].Elements
	sum := int32(before)
	if step == 0 && e.Numbers[0] != 0 {
		sum = s.Param(e.Layer+".bias", row)
	}
	for i := step * productStep; i < min((step+1)*productStep, n); i++ {
		sum += s.Param(e.Layer+".w", row*n+i) * s.In(0, v*n+i)
	}
	return int64(sum)
}
