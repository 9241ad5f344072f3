package text

import (
	"hash/crc32"
	"slices"
	"strings"

	"github.com/essaim/essaim/quant"
)

const (
	maxWords   = 16
	maxLetters = 24
)

// folds are the letters that stand for the characters from first on; '.' is a space.
// They are a table, not Unicode's, so that next year's Unicode changes no vector.
var folds = []struct {
	first   rune
	letters string
}{
	{0xC0, "aaaaaaaceeeeiiiidnooooo.ouuuuytsaaaaaaaceeeeiiiidnooooo.ouuuuyty" +
		"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkkkllllllllllnnnnnn.nnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzz."},
	{0x1A0, "oo.............uu"},
	{0x218, "sstt"},
	{0x1E00, "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv" +
		"wwwwwwwwwwxxxxyyzzzzzzhtwy....s.aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......"},
}

// fold is what stands for a character: a letter or digit, 0 (it is dropped) or ' '.
func fold(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		return r
	case 'A' <= r && r <= 'Z':
		return r + 'a' - 'A'
	case 0x300 <= r && r <= 0x36F:
		return 0
	case r == 'ё', r == 'Ё':
		return 'е'
	case 'а' <= r && r <= 'џ':
		return r
	case 'А' <= r && r <= 'Я':
		return r + 'а' - 'А'
	case 0x400 <= r && r < 'А':
		return r + 0x50
	case r == 'ґ', r == 'Ґ':
		return 'ґ'
	}
	for _, f := range folds {
		if i := int(r - f.first); 0 <= i && i < len(f.letters) && f.letters[i] != '.' {
			return rune(f.letters[i])
		}
	}
	return ' '
}

// words normalises a text: at most maxWords words of at most maxLetters letters, and
// whether there were more words.
func words(text string) (out []string, more bool) {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range text {
		if f := fold(r); f != 0 {
			b.WriteRune(f)
		}
	}
	out = strings.FieldsFunc(b.String(), func(r rune) bool { return r == ' ' })
	if len(out) > maxWords {
		out, more = out[:maxWords], true
	}
	for i, w := range out {
		if letters := []rune(w); len(letters) > maxLetters {
			out[i] = string(letters[:maxLetters])
		}
	}
	return out, more
}

// parts are the different parts of "<w>" that stand for a word: of 3 and 4 letters,
// and the whole.
func parts(w string) []string {
	p := []rune("<" + w + ">")
	out := []string{string(p)}
	for n := 3; n <= 4; n++ {
		for i := 0; i+n <= len(p); i++ {
			out = append(out, string(p[i:i+n]))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// root[n] is round(4096/√n), up to the number of parts that the longest word has.
var root = [...]int32{
	0, 4096, 2896, 2365, 2048, 1832, 1672, 1548, 1448, 1365, 1295, 1235, 1182, 1136, 1095, 1058, 1024, 993, 965, 940, 916, 894, 873, 854,
	836, 819, 803, 788, 774, 761, 748, 736, 724, 713, 702, 692, 683, 673, 664, 656, 648, 640, 632, 625, 617, 611, 604, 597,
	591,
}

// encode lists the table rows that stand for normalised words, 1 to maxWords of them.
func encode(ws []string) []quant.Weighted {
	var out []quant.Weighted
	for _, w := range ws {
		ps := parts(w)
		weight := (root[len(ps)]*root[len(ws)] + 2048) >> 12
		for _, p := range ps {
			out = append(out, quant.Weighted{Row: int(crc32.ChecksumIEEE([]byte(p)) % tableRows), Weight: weight})
		}
	}
	return out
}
