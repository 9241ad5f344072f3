package field

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestTower: the extension is the one that docs/protocol/proof.md names, and it is a field.
func TestTower(t *testing.T) {
	u, v := FromCoordinates([4]uint64{0, 1}), FromCoordinates([4]uint64{0, 0, 1})
	three := FromCoordinates([4]uint64{3})
	var uu, vv Ext
	if uu.Square(&u); !uu.Equal(&three) {
		t.Errorf("u² = %v", &uu)
	}
	if vv.Square(&v); !vv.Equal(&u) {
		t.Errorf("v² = %v", &vv)
	}
	if !big.NewInt(P).ProbablyPrime(20) {
		t.Error("P is not prime")
	}
	// v⁴ = 3, and x⁴ - 3 has no factor: 3 is no square, and 4 divides P - 1.
	if e := new(big.Int).Exp(big.NewInt(3), big.NewInt((P-1)/2), big.NewInt(P)); e.Int64() != P-1 {
		t.Error("3 is a square")
	}
}

func ext(r *rand.Rand) Ext {
	return FromCoordinates([4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()})
}

// TestMulIsTheDefinition compares the library's product with the schoolbook's.
func TestMulIsTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		a, b := ext(r), ext(r)
		// In the powers of v: 1, v, v² = u, v³ = uv, with v⁴ = 3.
		power := func(e *Ext) [4]uint64 {
			c := Coordinates(e)
			return [4]uint64{uint64(c[0]), uint64(c[2]), uint64(c[1]), uint64(c[3])}
		}
		x, y, out := power(&a), power(&b), [4]uint64{}
		for i := range 4 {
			for j := range 4 {
				z := x[i] * y[j] % P
				if i+j >= 4 {
					z = z * 3 % P
				}
				out[(i+j)%4] = (out[(i+j)%4] + z) % P
			}
		}
		want := FromCoordinates([4]uint64{out[0], out[2], out[1], out[3]})
		var got Ext
		if got.Mul(&a, &b); !got.Equal(&want) {
			t.Fatalf("%v times %v is %v, want %v", &a, &b, &got, &want)
		}
	}
}

func TestEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), Size, Size).Draw(t, "bytes")
		e, ok := Read(b)
		if ok && string(Append(nil, e)) != string(b) {
			t.Errorf("%x is read as %v, which is %x", b, &e, Append(nil, e))
		}
	})
	for _, b := range [][]byte{{0: 1, 3: 0x7f, 15: 0}, {12: 1, 15: 0x7f}, {15: 0x80}} {
		if _, ok := Read(b); ok {
			t.Errorf("%x is read", b)
		}
	}
	if got := Of(-1); got.Uint64() != P-1 {
		t.Errorf("-1 is %d", got.Uint64())
	}
	if got := Of(-1 << 63); got.Uint64() != uint64((P-(1<<63)%uint64(P))%P) {
		t.Errorf("-2⁶³ is %d", got.Uint64())
	}
}

// TestEq: the table is the product of the definition, and interpolates.
func TestEq(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	point := []Ext{ext(r), ext(r), ext(r)}
	one := new(Ext).SetOne()
	var sum Ext
	for i, got := range Eq(point) {
		want := *one
		for b := range point {
			f := point[b]
			if i>>(len(point)-1-b)&1 == 0 {
				f.Sub(one, &f)
			}
			want.Mul(&want, &f)
		}
		if !got.Equal(&want) {
			t.Errorf("eq(r, %d) = %v, want %v", i, &got, &want)
		}
		sum.Add(&sum, &got)
	}
	if !sum.IsOne() {
		t.Errorf("Σ eq = %v", &sum)
	}
}

func TestSums(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	x := Of(12345)
	a, small, b := make([]Ext, 7), make([]uint32, 7), make([]Ext, 7) // seven: not all of a vector's width
	power := Of(1)
	for i := range a {
		a[i], small[i] = ext(r), uint32(power.Uint64())
		b[i].B0.A0 = power
		power.Mul(&power, &x)
	}
	var want Ext // by Horner's rule
	for j := len(a) - 1; j >= 0; j-- {
		want.MulByElement(&want, &x)
		want.Add(&want, &a[j])
	}
	if got := Evaluate(a, &x); !got.Equal(&want) {
		t.Errorf("the polynomial's value is %v, want %v", &got, &want)
	}
	for i, p := range PowersOf(&x, 7) {
		if p != small[i] {
			t.Errorf("power %d is %d, want %d", i, p, small[i])
		}
	}
	sum := make([]Ext, 7)
	AddScaled(sum, a, &a[3], make([]Ext, 7))
	AddScaled(sum, b, &a[2], make([]Ext, 7))
	for i := range sum {
		var x, y Ext
		x.Mul(&a[i], &a[3])
		y.Mul(&b[i], &a[2])
		if x.Add(&x, &y); !x.Equal(&sum[i]) {
			t.Errorf("scaled sum %d is %v, want %v", i, &sum[i], &x)
		}
	}
	if got := Dot(a, b); !got.Equal(&want) {
		t.Errorf("the sum is %v, the polynomial's value %v", &got, &want)
	}
	if got := DotElements(a, small); !got.Equal(&want) {
		t.Errorf("the sum with integers is %v, the polynomial's value %v", &got, &want)
	}
	var wide Ext
	wide.B0.A0 = x
	for _, n := range []int{36, 33} { // of a vector's width, and not
		added := Powers(wide, n)
		AddPowers(added, &a[0], &x)
		for j, p := range Powers(wide, n) {
			var z Ext
			z.Mul(&p, &a[0])
			if z.Add(&z, &p); !z.Equal(&added[j]) {
				t.Errorf("power %d added is %v, want %v", j, &added[j], &z)
			}
		}
	}
	if p := Powers(wide, 7); !p[6].Equal(&b[6]) {
		t.Errorf("the sixth power is %v, want %v", &p[6], &b[6])
	}
}

func TestRoot(t *testing.T) {
	for k := range 20 {
		w := Root(1 << k)
		half := w
		for range k {
			half = w
			w.Square(&w)
		}
		if !w.IsOne() || k > 0 && half.IsOne() {
			t.Errorf("the root of order 2^%d has another order", k)
		}
	}
}

// TestCoset compares values with the polynomial's.
func TestCoset(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{2, 16, 256, 1024} {
		const rate = 4
		row, values := make([]int8, n), make([]Element, n)
		same, numbers := make([]uint32, n), make([]uint32, n)
		poly := make([]Ext, n)
		for j := range row {
			row[j] = int8(r.Uint32())
			poly[j].B0.A0 = Of(int64(row[j]))
			same[j] = uint32(poly[j].B0.A0.Uint64())
		}
		c := NewCoset(n, rate, 0)
		for at := range rate {
			c.Move(rate, at)
			c.Values(values, row)
			c.Numbers(numbers, same)
			for k := 0; k < n; k += max(n/16, 1) {
				var x Element
				x.ExpInt64(Root(rate*n), int64(at+rate*c.Point(k)))
				if want := Evaluate(poly, &x); want.B0.A0.Uint64() != uint64(values[k][0]) || numbers[k] != values[k][0] {
					t.Fatalf("n %d, coset %d: value %d is %d and %d, want %v", n, at, k, values[k][0], numbers[k], &want)
				}
			}
		}
	}
}
