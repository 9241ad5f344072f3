package commit

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/transcript"
	"github.com/essaim/essaim/quant"
)

func ext(r *rand.Rand) field.Ext {
	return field.FromCoordinates([4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()})
}

func exts(r *rand.Rand, n int) []field.Ext {
	out := make([]field.Ext, n)
	for i := range out {
		out[i] = ext(r)
	}
	return out
}

// odd are matrices of no pleasant shape, with the extremes among their numbers.
func odd(seed uint64) []Matrix {
	r := rand.New(rand.NewPCG(seed, 9))
	var out []Matrix
	for i, s := range []Shape{{"a", 3, 5}, {"b", 1, 1}, {"c", 70, 257}, {"d", 33, 256}, {"e", 7, 600}} {
		m := Matrix{Shape: s, W: make([]int8, s.Rows*s.Cols), Turned: i%2 == 1}
		for j := range m.W {
			m.W[j] = int8(r.Uint32())
		}
		m.W[0] = -128
		out = append(out, m)
	}
	return out
}

func (m Matrix) at(row, col int) int8 {
	if m.Turned {
		return m.W[col*m.Rows+row]
	}
	return m.W[row*m.Cols+col]
}

func committed(t testing.TB, m []Matrix, workers int) *Weights {
	t.Helper()
	w, err := New(m, nil, workers)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// value is Σ lanes·W~(r, s) by the definition, from the matrices alone.
func value(l *Layout, all []Matrix, r, s, lanes []field.Ext) (sum field.Ext) {
	rows, cols := field.Eq(r), field.Eq(s)
	first := 0
	for _, m := range all {
		for i := range m.Rows {
			for j := range m.Cols {
				var z field.Ext
				e := field.Of(int64(m.at(i, j)))
				z.MulByElement(&rows[i], &e)
				z.Mul(&z, &cols[j%Lane])
				z.Mul(&z, &lanes[first+j/Lane])
				sum.Add(&sum, &z)
			}
		}
		first += m.lanes()
	}
	return sum
}

func TestFold(t *testing.T) {
	all := odd(1)
	w := committed(t, all, 1)
	r := exts(rand.New(rand.NewPCG(2, 2)), w.Point())
	eq, got := field.Eq(r), w.Fold(r)
	first := 0
	for _, m := range all {
		for j := range m.lanes() * Lane {
			var want field.Ext
			for i := range m.Rows {
				if j < m.Cols {
					var z field.Ext
					e := field.Of(int64(m.at(i, j)))
					z.MulByElement(&eq[i], &e)
					want.Add(&want, &z)
				}
			}
			if g := got[j%Lane*w.Lanes+first+j/Lane]; !g.Equal(&want) {
				t.Fatalf("%s, column %d: %v, want %v", m.Name, j, &g, &want)
			}
		}
		first += m.lanes()
	}
}

func TestOpening(t *testing.T) {
	all := odd(3)
	w := committed(t, all, 1)
	random := rand.New(rand.NewPCG(4, 4))
	r, s, lanes := exts(random, w.Point()), exts(random, LaneBits), exts(random, w.Lanes)
	right := value(w.Layout, all, r, s, lanes)
	open := func() Opening { return w.Open(new(transcript.Transcript), r, s, lanes) }
	verify := func(v field.Ext, root quant.Hash, o Opening) error {
		return w.Layout.Verify(new(transcript.Transcript), root, r, s, lanes, v, o)
	}
	o := open()
	if err := verify(right, w.Root(), o); err != nil {
		t.Fatal(err)
	}
	b := o.Append(nil)
	if again, ok := w.Read(b); !ok || len(b) != w.Size() || !bytes.Equal(again.Append(nil), b) {
		t.Errorf("an opening of %d bytes, of which %d are read, reads as another", len(b), w.Size())
	}
	one := new(field.Ext).SetOne()
	for why, lie := range map[string]func(v *field.Ext, root *quant.Hash, o *Opening){
		"another value":         func(v *field.Ext, _ *quant.Hash, _ *Opening) { v.Add(v, one) },
		"another root":          func(_ *field.Ext, root *quant.Hash, _ *Opening) { root[3]++ },
		"a short rest":          func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Rest = o.Rest[1:] },
		"a long rest":           func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Rest = append(o.Rest, field.Ext{}) },
		"another rest":          func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Rest[7].Add(&o.Rest[7], one) },
		"a column less":         func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Columns = o.Columns[1:] },
		"columns exchanged":     func(_ *field.Ext, _ *quant.Hash, o *Opening) { slices.Reverse(o.Columns) },
		"another number":        func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Columns[20].Values[1] ^= 1 },
		"a short column":        func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Columns[2].Values = o.Columns[2].Values[1:] },
		"no path":               func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Columns[2].Path = nil },
		"another hash":          func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Columns[0].Path[5][0] ^= 1 },
		"another commitment":    func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Top[99][0] ^= 1 },
		"no commitment":         func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Top = nil },
		"a round more":          func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Rounds = append(o.Rounds, o.Rounds[0]) },
		"no rounds":             func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Rounds = nil },
		"another round":         func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Rounds[0].C2.Add(&o.Rounds[0].C2, one) },
		"pieces exchanged":      func(_ *field.Ext, _ *quant.Hash, o *Opening) { slices.Reverse(o.Row) },
		"a piece less":          func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Row = o.Row[1:] },
		"another of a piece":    func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Row[126].Values[7] ^= 1 },
		"a short piece":         func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Row[3].Values = o.Row[3].Values[1:] },
		"a piece without path":  func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Row[3].Path = nil },
		"a piece's other path":  func(_ *field.Ext, _ *quant.Hash, o *Opening) { o.Row[3].Path[0][31] ^= 4 },
		"nothing":               func(_ *field.Ext, _ *quant.Hash, o *Opening) { *o = Opening{} },
		"a row that fits a lie": func(v *field.Ext, _ *quant.Hash, o *Opening) { *o = lieInRow(w, v, r, s, lanes) },
	} {
		v, root, o := right, w.Root(), open()
		lie(&v, &root, &o)
		if err := verify(v, root, o); !errors.Is(err, ErrOpening) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// lieInRow claims another value and opens, honestly but for that, a row that shows it.
func lieInRow(w *Weights, v *field.Ext, r, s, lanes []field.Ext) Opening {
	one := *new(field.Ext).SetOne()
	row, by := w.Row(r, lanes), field.Eq(w.within(r, s))[11]
	by.Inverse(&by)
	v.Add(v, &one)
	row[11].Add(&row[11], &by)
	return w.OpenRow(new(transcript.Transcript), row, r, s)
}

// TestFarFromCode: a commitment to columns that are of no code, or of one in some places only, is refused by the queries to it.
func TestFarFromCode(t *testing.T) {
	w := committed(t, odd(3), 1)
	random := rand.New(rand.NewPCG(5, 4))
	r, s, lanes := exts(random, w.Point()), exts(random, LaneBits), exts(random, w.Lanes)
	right := value(w.Layout, odd(3), r, s, lanes)
	row := w.Row(r, lanes)
	for _, every := range []int{1, 2, 4, 16} {
		c := w.encode(row)
		for q := 0; q < len(c.code)/c.high; q += every {
			c.code[q*c.high] ^= 1
		}
		c.hash()
		o := w.open(new(transcript.Transcript), &c, row, r, s)
		if err := w.Layout.Verify(new(transcript.Transcript), w.Root(), r, s, lanes, right, o); !errors.Is(err, ErrOpening) {
			t.Errorf("one column of %d is of no code: %v", every, err)
		}
	}
}

// TestRowQueries: what the bound on chance is made of: that a wrong combination of pieces agrees with the right one in few
// columns of their code.
func TestRowQueries(t *testing.T) {
	w := committed(t, odd(5), 1)
	rest := exts(rand.New(rand.NewPCG(6, 6)), w.piece())
	wrong := slices.Clone(rest)
	wrong[3].Add(&wrong[3], new(field.Ext).SetOne())
	alike, n := 0, RowRate*w.piece()
	for q := range n {
		var x field.Element
		x.ExpInt64(field.Root(n), int64(q))
		a, b := field.Evaluate(rest, &x), field.Evaluate(wrong, &x)
		if a.Equal(&b) {
			alike++
		}
	}
	if alike >= w.piece() {
		t.Errorf("%d of %d columns do not tell", alike, n)
	}
	if chance := RowQueries * math.Log2(5./8); chance > -105 {
		t.Errorf("%d queries leave a chance of 2^%.1f", RowQueries, chance)
	}
	if chance := Queries * math.Log2(1./Rate); chance > -105 {
		t.Errorf("%d queries leave a chance of 2^%.1f", Queries, chance)
	}
}

// TestQueriesCatchARow: a cheater who knows where he will be asked is not caught there, so it is the queries that count;
// and of rows that differ in one number nearly every column tells.
func TestQueriesCatchARow(t *testing.T) {
	w := committed(t, odd(5), 1)
	row := exts(rand.New(rand.NewPCG(6, 6)), w.Columns)
	wrong := slices.Clone(row)
	wrong[3].Add(&wrong[3], new(field.Ext).SetOne())
	alike := 0
	for q := 0; q < w.Code(); q += 5 {
		x := w.at(q)
		a, b := field.Evaluate(row, &x), field.Evaluate(wrong, &x)
		if a.Equal(&b) {
			alike++
		}
	}
	if alike >= w.Columns/5 {
		t.Errorf("%d of %d columns do not tell", alike, w.Code())
	}
}

// TestAnyByteCounts: another number, name or shape gives another root; more workers do not.
func TestAnyByteCounts(t *testing.T) {
	root := committed(t, odd(7), 1).Root()
	if committed(t, odd(7), 5).Root() != root {
		t.Error("five workers make another root")
	}
	for i, m := range odd(7) {
		for _, change := range []func(m *Matrix){
			func(m *Matrix) { m.W[len(m.W)-1] ^= 1 },
			func(m *Matrix) { m.Name += "x" },
			func(m *Matrix) { m.Rows++; m.W = append(m.W, make([]int8, m.Cols)...) }, // zeros, which the grid had there anyhow
		} {
			all := odd(7)
			all[i] = m
			all[i].W = slices.Clone(m.W)
			change(&all[i])
			if committed(t, all, 1).Root() == root {
				t.Errorf("matrix %s: a change goes unnoticed", m.Name)
			}
		}
	}
}

func TestShapes(t *testing.T) {
	for why, shapes := range map[string][]Shape{
		"none":          nil,
		"no rows":       {{"a", 0, 1}},
		"no columns":    {{"a", 1, 0}},
		"negative":      {{"a", -1, 1}},
		"too tall":      {{"a", maxRows + 1, 1}},
		"too wide":      {{"a", 1, maxCols + 1}},
		"too much":      slices.Repeat([]Shape{{"a", maxRows, maxCols}}, 4000),
		"too many":      slices.Repeat([]Shape{{"a", 1, 1}}, maxMatrices+1),
		"too long name": {{string(make([]byte, 256)), 1, 1}},
	} {
		if _, err := NewLayout(shapes); !errors.Is(err, ErrShape) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := New([]Matrix{{Shape: Shape{"a", 2, 2}, W: make([]int8, 3)}}, nil, 1); !errors.Is(err, ErrShape) {
		t.Errorf("too few numbers: %v", err)
	}
	// The picture model's, as docs/protocol/proof.md says.
	var shapes []Shape
	add := func(rows, cols int) { shapes = append(shapes, Shape{Rows: rows, Cols: cols}) }
	add(256, 8192)
	add(1024, 256)
	add(512, 1024)
	add(512, 512)
	for range 4 {
		add(2048, 512)
		add(2048, 512)
		add(512, 2048)
	}
	add(512, 512)
	add(6144, 512)
	l, err := NewLayout(shapes)
	if err != nil || l.Columns != 32768 || l.Rows != 584 || l.Lanes != 91 || l.Point() != 13 || l.folds() != 4 || l.Size() != 185920 {
		t.Errorf("layout %+v, error %v", l, err)
	}
}

// TestTimes compares products with the definition, for the extremes, too.
func TestTimes(t *testing.T) {
	const rows, cols = 5, 300
	r := rand.New(rand.NewPCG(8, 8))
	m := &quant.Matrix{Rows: rows, Cols: cols, W: make([]int8, rows*cols)}
	for i := range m.W {
		m.W[i] = int8(r.Uint32())
	}
	for i := range cols {
		m.W[i], m.W[cols+i] = -128, 127
	}
	vectors := make([][]uint32, 3)
	for v := range vectors {
		for range cols {
			vectors[v] = append(vectors[v], r.Uint32N(field.P))
		}
	}
	for i := range cols {
		vectors[0][i] = field.P - 1
		vectors[1][i] = []uint32{0x7f000000, 0x7e808080, 0x7effffff, 0x007f7f80}[i%4]
	}
	for v, got := range times(m, vectors, 1) {
		for row := range rows {
			want := int64(0)
			for i := range cols {
				want = (want + int64(m.W[row*cols+i])*int64(vectors[v][i])) % field.P
			}
			if (want+field.P)%field.P != int64(got[row]) {
				t.Fatalf("vector %d, row %d: %d, want %d", v, row, got[row], want)
			}
		}
	}
}
