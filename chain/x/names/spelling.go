package names

import "strings"

// The length of a name, in characters.
const (
	MinLength = 3
	MaxLength = 32
)

// check says whether a name is spelled as names are: a-z, 0-9 and single underscores, a letter
// first, no underscore last. There is one alphabet, so no two letters of different ones.
func check(name string) error {
	if len(name) < MinLength || len(name) > MaxLength {
		return ErrName.Wrapf("%d characters, want %d to %d", len(name), MinLength, MaxLength)
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z':
		case i > 0 && c >= '0' && c <= '9':
		case i > 0 && c == '_' && i < len(name)-1 && name[i-1] != '_':
		default:
			return ErrName.Wrapf("%q: write a-z, 0-9 and single underscores between them, a letter first", name)
		}
	}
	return nil
}

var (
	// one has the characters that are taken for one another.
	one = strings.NewReplacer("_", "", "0", "o", "1", "l", "i", "l", "j", "l", "2", "z", "5", "s", "6", "b", "8", "b", "9", "g", "q", "g", "v", "u")

	// two has the pairs that are taken for one character, after one.
	two = strings.NewReplacer("rn", "m", "nn", "m", "uu", "w", "cl", "d", "lc", "k", "lz", "k")
)

// Look is what a name looks like: two names with one look are taken for one another at a glance,
// and only one of them is given. It errs on the side of refusing. A change of it is a change of
// which names may stand beside each other, and comes with an upgrade.
func Look(name string) string { return two.Replace(one.Replace(name)) }
