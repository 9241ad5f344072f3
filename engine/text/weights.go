package text

import (
	"fmt"
	"strings"

	"github.com/essaim/essaim/quant"
)

// Shape of the network; see the package comment.
const (
	tableRows = 57344
	tableCols = 128
	hidden    = 512
	size      = 128 // of an embedding
)

// weights are the content of weights.bin. They are not changed once read.
type weights struct {
	table    []int8
	tableOut quant.Scale
	up, out  quant.Linear
	concepts []int8 // one embedding after the other
}

// readWeights reads those of a model with that many concepts.
func readWeights(r *quant.Reader, concepts int) (*weights, error) {
	w := &weights{
		table:    r.Tensor("table", quant.Int8, tableRows, tableCols).Int8(),
		tableOut: r.Scale("table", tableCols),
		up:       r.Linear("up", hidden, tableCols, true),
		out:      r.Linear("out", size, hidden, true),
		concepts: r.Tensor("concepts", quant.Int8, concepts, size).Int8(),
	}
	return w, r.Err()
}

// embed computes the embedding of a text's rows, on a tape.
func (w *weights) embed(t *quant.Tape, words quant.Words) []int8 {
	pairs := t.Do("words", words)
	sum := t.Do("table", quant.Gather{Table: w.table, Cols: tableCols}, pairs)
	e := t.Do("table", quant.Activate{Scale: w.tableOut, Lo: -127, Hi: 127}, sum)
	h := w.up.Activated(t, "up", e, 0, 127)
	v := w.out.Activated(t, "out", h, -127, 127)
	out := make([]int8, size)
	for i, x := range v.Narrow {
		out[i] = int8(x)
	}
	return out
}

// readConcepts reads lines of an emoji, a tab and a name.
func readConcepts(file string) ([]Concept, error) {
	var out []Concept
	for line := range strings.Lines(file) {
		emoji, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || emoji == "" || name == "" {
			return nil, fmt.Errorf("line %d of the concepts is not an emoji, a tab and a name", len(out)+1)
		}
		out = append(out, Concept{Emoji: emoji, Name: name})
	}
	return out, nil
}
