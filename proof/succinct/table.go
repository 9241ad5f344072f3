package succinct

// The table of all look-ups has rows (tag, x, y): of each n that occurs the range 0..2ⁿ-1 as (n, x, 0), then the
// pairs of functions of an integer that clamp it.
const (
	ranges = 15      // n is 0 to 14
	span   = 1 << 11 // clamped are integers of -span to span-1
)

// A table is the one of a proof: which ranges occur, and which clamps.
type table struct {
	used   [ranges]bool
	clamps [][2]int32
}

// use adds what is looked up.
func (t *table) use(tags []int) {
	for _, tag := range tags {
		if tag < ranges {
			t.used[tag] = true
		}
	}
}

// clamp is the number of the clamp to lo..hi, which the table has from now on.
func (t *table) clamp(lo, hi int32) int {
	for i, c := range t.clamps {
		if c == [2]int32{lo, hi} {
			return i
		}
	}
	t.clamps = append(t.clamps, [2]int32{lo, hi})
	return len(t.clamps) - 1
}

// first is the first row of a tag, and the number of its rows.
func (t *table) first(tag int) (at, n int) {
	for i := 0; ; i++ {
		switch {
		case i >= ranges:
			n = 2 * span
		case t.used[i]:
			n = 1 << i
		default:
			n = 0
		}
		if i == tag {
			return at, n
		}
		at += n
	}
}

// tags are those that there are room for: ranges, used or not, and clamps.
func (t *table) tags() int { return ranges + len(t.clamps) }

// rows is how many the table has.
func (t *table) rows() int {
	at, n := t.first(t.tags() - 1)
	return at + n
}

// find is the place of x and y among a tag's rows; false: there is none.
func (t *table) find(tag int, x, y int64) (int, bool) {
	if tag < ranges {
		return int(x), x >= 0 && x < 1<<tag && y == 0 && t.used[tag]
	}
	if x < -span || x >= span || y != t.clamped(tag, x) {
		return 0, false
	}
	return int(x) + span, true
}

func (t *table) clamped(tag int, x int64) int64 {
	c := t.clamps[tag-ranges]
	return int64(min(max(int32(x), c[0]), c[1]))
}

// row is the i-th one of a tag.
func (t *table) row(tag, i int) (x, y int64) {
	if tag < ranges {
		return int64(i), 0
	}
	x = int64(i) - span
	return x, t.clamped(tag, x)
}
