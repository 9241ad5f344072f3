package succinct

import (
	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/proof/field"
)

// A form is a sum over all cells, each with a factor, and a number: what is left to show is that it has a value.
type form struct {
	factors field.Vector
	number  field.Ext
}

// plus adds a product to the number.
func (f *form) plus(a field.Ext, b field.Element) {
	a.MulByElement(&a, &b)
	f.number.Add(&f.number, &a)
}

// at is the value of the factors' multilinear extension at a point: eq of a place in a grid is that of its row times that of its column.
func (f *form) at(point []field.Ext, columns int) (sum field.Ext) {
	split := len(point) - field.Logarithm(columns)
	above, beside := field.EqTable(point[:split]), field.Vector(field.EqTable(point[split:]))
	for i, from := 0, 0; from < len(f.factors); i, from = i+1, from+columns {
		n := min(columns, len(f.factors)-from)
		z := f.factors[from:][:n].InnerProduct(beside[:n])
		z.Mul(&z, &above[i])
		sum.Add(&sum, &z)
	}
	field.Settle()
	return sum
}

// A challenge is one of the look-ups: α, β and its square.
type challenge struct{ alpha, beta, square field.Ext }

func newChallenge(alpha, beta field.Ext) (c challenge) {
	c.alpha, c.beta = alpha, beta
	c.square.Square(&beta)
	return c
}

// tagged is β²·tag.
func (c *challenge) tagged(tag int) field.Ext {
	e := field.Of(int64(tag))
	var z field.Ext
	z.MulByElement(&c.square, &e)
	return z
}

// fractions are those of the leaves, numerators and denominators.
func (a *assignment) fractions(c challenge) (p, q []field.Ext) {
	size, rows := 1<<a.size(), a.table.rows()
	p, q = make([]field.Ext, size), make([]field.Ext, size)
	set := func(at, tag, n int) {
		z := c.tagged(tag)
		z.Sub(&c.alpha, &z)
		for i := at; i < at+n; i++ {
			q[i] = z
			var e field.Element
			e.SetUint64(uint64(a.x[i]))
			q[i].B0.A0.Sub(&q[i].B0.A0, &e)
			if a.y[i] != 0 {
				var w field.Ext
				e.SetUint64(uint64(a.y[i]))
				w.MulByElement(&c.beta, &e)
				q[i].Sub(&q[i], &w)
			}
		}
	}
	for tag := range a.table.tags() {
		at, n := a.table.first(tag)
		set(at, tag, n)
	}
	for i := range rows {
		e := field.Of(-int64(a.cells[i]))
		p[i].B0.A0 = e
	}
	for i := range a.changes {
		ch := &a.changes[i]
		at := rows + ch.leaf
		for _, tag := range ch.tags() {
			set(at, tag, ch.n())
			at += ch.n()
		}
	}
	for i := range p[rows:] {
		if i < a.leaves {
			p[rows+i].SetOne()
		} else {
			q[rows+i].SetOne()
		}
	}
	return p, q
}

// lookups is what the leaves come to in the tree's last claims, at a point of which eq is the table: Σ eq·denominator, and
// mu times Σ eq·numerator.
func (y *system) lookups(eq []field.Ext, c challenge, mu field.Ext) *form {
	rows := y.table.rows()
	f := &form{factors: make(field.Vector, rows+y.cells)}
	sums := make([]field.Ext, y.table.tags()) // of eq, by tag
	for tag := range sums {
		at, n := y.table.first(tag)
		y.tabled(f, tag, eq[at:][:n], &c.beta, &sums[tag])
	}
	for i := range y.changes {
		y.changes[i].add(f, eq[rows:], c.beta, rows, sums)
	}
	// So far this is Σ eq·(x + βy), where denominators are α - x - βy - β²tag, or 1.
	minusOne := field.Of(-1)
	f.factors.ScalarMulByElement(f.factors, &minusOne)
	f.number.Neg(&f.number)
	var one, z field.Ext
	one.SetOne()
	f.number.Add(&f.number, &one)
	for tag := range sums {
		z = c.tagged(tag)
		z.Sub(&c.alpha, &z)
		z.Sub(&z, &one)
		z.Mul(&z, &sums[tag])
		f.number.Add(&f.number, &z)
	}
	// The numerators are 1 of look-ups, and the multiplicities, turned, of the table.
	minus := make(field.Vector, rows)
	minus.ScalarMul(eq[:rows], &mu)
	f.factors[:rows].Sub(f.factors[:rows], minus)
	all := field.Vector(eq[rows:][:y.leaves]).Sum()
	field.Settle()
	all.Mul(&all, &mu)
	f.number.Add(&f.number, &all)
	return f
}

// tabled adds Σ eq·(x + βy) of a tag's rows, and Σ eq to sum.
func (y *system) tabled(f *form, tag int, eq []field.Ext, beta, sum *field.Ext) {
	x, v := make(field.Elements, len(eq)), make(field.Elements, len(eq))
	for i := range eq {
		a, b := y.table.row(tag, i)
		x[i], v[i] = field.Of(a), field.Of(b)
	}
	z := field.Vector(eq).Sum()
	sum.Add(sum, &z)
	z = field.Vector(eq).InnerProductByElement(x)
	f.number.Add(&f.number, &z)
	if tag >= ranges {
		z = field.Vector(eq).InnerProductByElement(v)
		z.Mul(&z, beta)
		f.number.Add(&f.number, &z)
	}
	field.Settle()
}

// add adds Σ eq·(x + βy) of the change's look-ups to a form, whose cells come after the table's rows, and Σ eq to sums.
func (c *change) add(f *form, eq []field.Ext, beta field.Ext, rows int, sums []field.Ext) {
	n, each := c.n(), c.in.elements
	tags := c.tags()
	s := make([]field.Vector, len(tags))
	for i, tag := range tags {
		s[i] = eq[c.leaf+i*n:][:n]
		z := s[i].Sum()
		sums[tag].Add(&sums[tag], &z)
	}
	cells := func(first, from int) field.Vector { return f.factors[rows+first+from:][:each] }
	mul, remainders := make(field.Elements, each), make(field.Elements, each)
	for i, m := range c.mul {
		mul[i], remainders[i] = field.Of(m), field.Of(m&(1<<lowBits-1))
	}
	room := make(field.Vector, 5*each)
	for from := 0; from < n; from += each {
		part := make([]field.Vector, len(s))
		for i := range s {
			part[i] = s[i][from:][:each]
		}
		w := work{form: f, eq: part, beta: beta, cells: func(first int) field.Vector { return cells(first, from) }, room: room}
		w.change(c, mul, remainders, from)
	}
	field.Settle()
}

// A work adds the look-ups of one vector's change to a form.
type work struct {
	*form
	eq    []field.Vector
	beta  field.Ext
	cells func(first int) field.Vector
	room  field.Vector
}

// scratch is one of five vectors of room.
func (w *work) scratch(i int) field.Vector {
	n := len(w.room) / 5
	return w.room[i*n:][:n]
}

// scaled is c·a, in scratch 4.
func (w *work) scaled(a field.Vector, c int64) field.Vector {
	e, out := field.Of(c), w.scratch(4)
	out.ScalarMulByElement(a, &e)
	return out
}

// change adds low, high, b, a and rest, then what says how large q is. With
//
//	high = (v - low)/2¹⁴ + 2¹¹,  b = v·m + 2^(s-1) - q·2^s - 2¹⁴·rest,  a = (low·m' + carry - b)/2¹⁴
//
// the factors of v are eq(high)/2¹⁴ + g·m, where g = eq(b) - eq(a)/2¹⁴.
func (w *work) change(c *change, mul, remainders field.Elements, from int) {
	inverse := inverse14()
	over, g, v, q := w.scratch(0), w.scratch(1), w.scratch(2), w.scratch(3)
	over.ScalarMulByElement(w.eq[3], &inverse) // eq(a)/2¹⁴
	g.Sub(w.eq[2], over)
	w.plus(g.Sum(), field.Of(1<<(c.shift-1)))
	w.plus(over.Sum(), field.Of(c.carry()))
	w.plus(w.eq[1].Sum(), field.Of(1<<(highBits-1)))

	low := w.cells(c.low)
	low.Add(low, w.eq[0])
	over.MulByElement(over, remainders)
	low.Add(low, over)
	over.ScalarMulByElement(w.eq[1], &inverse) // eq(high)/2¹⁴
	low.Sub(low, over)
	v.MulByElement(g, mul)
	v.Add(v, over)
	for _, first := range c.in.first {
		to := w.cells(first)
		to.Add(to, v)
	}
	if c.in.known != nil {
		w.public(v, c.in.known)
	}
	next := 4
	if c.shift > lowBits {
		to := w.cells(c.rest)
		to.Add(to, w.eq[next])
		to.Sub(to, w.scaled(g, 1<<lowBits))
		next++
	}
	copy(q, w.scaled(g, -1<<c.shift))
	if c.clamp >= 0 {
		q.Add(q, w.eq[next])
		w.pair(c, w.eq[next], from)
	}
	for i, l := range c.limbs {
		w.limb(l, w.eq[next+2*i], w.eq[next+2*i+1], q)
	}
	if c.q < 0 {
		w.public(q, c.shown[from:][:len(q)])
		return
	}
	to := w.cells(c.q)
	to.Add(to, q)
}

// public adds Σ factors·known.
func (w *work) public(factors field.Vector, known []int32) {
	e := make(field.Elements, len(known))
	for i, v := range known {
		e[i] = field.Of(int64(v))
	}
	z := factors.InnerProductByElement(e)
	w.number.Add(&w.number, &z)
}

// pair adds β times the output.
func (w *work) pair(c *change, eq field.Vector, from int) {
	by := w.scratch(4)
	by.ScalarMul(eq, &w.beta)
	if c.out < 0 {
		w.public(by, c.shown[from:][:len(by)])
		return
	}
	to := w.cells(c.out)
	to.Add(to, by)
}

// limb adds the low bits of u = sign·q + offset, and (u - low)/2¹⁴.
func (w *work) limb(l limb, low, high, q field.Vector) {
	inverse := inverse14()
	by := w.scratch(4)
	by.ScalarMulByElement(high, &inverse)
	w.plus(by.Sum(), field.Of(l.offset))
	to := w.cells(l.cell)
	to.Add(to, low)
	to.Sub(to, by)
	if l.sign > 0 {
		q.Add(q, by)
	} else {
		q.Sub(q, by)
	}
}

// sums adds T's part, times a factor: Σ γᵏ·eq(r, i) of the products' cells, less their biases already.
func (y *system) sums(f *form, r, powers []field.Ext, times *field.Ext) {
	eq := field.EqTable(r)
	k, room := 0, make([]field.Ext, len(eq))
	for i := range y.products {
		p := &y.products[i]
		for v := range p.vectors {
			var c field.Ext
			c.Mul(&powers[k], times)
			field.AddScaled(f.factors[y.table.rows()+p.out+v*p.shape.Rows:][:p.shape.Rows], eq[:p.shape.Rows], &c, room[:p.shape.Rows])
			k++
		}
	}
}

// lanes adds, times a factor, what Σ η^i·a_i is of: a lane's a is Σ γᵏ·eq(s, j)·x(256c + j).
func (y *system) lanes(f *form, s, powers, etas []field.Ext, times *field.Ext) {
	eq, room := field.EqTable(s), make([]field.Ext, commit.Lane)
	k := 0
	for i := range y.products {
		p := &y.products[i]
		first := y.model.Layout().FirstLane(p.matrix)
		for v := range p.vectors {
			var c field.Ext
			c.Mul(&powers[k], times)
			k++
			if p.pairs != nil {
				y.gathered(f, p, v, first, eq, etas, c)
				continue
			}
			for j := 0; j < p.shape.Cols; j += commit.Lane {
				n := min(commit.Lane, p.shape.Cols-j)
				var z field.Ext
				z.Mul(&c, &etas[first+j/commit.Lane])
				field.AddScaled(f.factors[y.table.rows()+p.in+v*p.shape.Cols+j:][:n], eq[:n], &z, room[:n])
			}
		}
	}
}

// gathered is the part of a public input.
func (y *system) gathered(f *form, p *product, v, first int, eq, etas []field.Ext, c field.Ext) {
	p.each(v, func(row int, weight int64) {
		var z field.Ext
		z.Mul(&eq[row%commit.Lane], &etas[first+row/commit.Lane])
		z.Mul(&z, &c)
		f.plus(z, field.Of(weight))
	})
}

// each shows the rows of a table that a vector of a gather reads, and their weights.
func (p *product) each(v int, do func(row int, weight int64)) {
	n := len(p.pairs) / p.vectors
	for pairs := p.pairs[v*n:][:n]; len(pairs) >= 2; pairs = pairs[2:] {
		if row := int(pairs[0]); pairs[1] != 0 && row >= 0 && row < p.shape.Cols {
			do(row, int64(pairs[1]))
		}
	}
}
