package pixel

import (
	"hash/crc32"
	"slices"
	"strings"
	"unicode"

	"github.com/essaim/essaim/quant"
)

const (
	textRows   = 8192 // of the table
	textCols   = 256
	maxWords   = 10 // of a thing
	maxLetters = 32 // of a word
)

// folds maps each letter with an accent to the letter without.
var folds = foldTable(
	"aàáâãäåāăąǎ", "cçćĉċč", "dď", "eèéêëēĕėęěẽ", "gĝğġģ", "hĥ", "iìíîïĩīĭįǐ", "jĵ", "kķ", "lĺļľ", "nñńņňǹ",
	"oòóôõöōŏőǒ", "rŕŗř", "sśŝşšș", "tţťț", "uùúûüũūŭůűųǔ", "wŵẁẃẅ", "yýÿŷỳỹ", "zźżž")

func foldTable(groups ...string) map[rune]byte {
	m := map[rune]byte{}
	for _, g := range groups {
		for _, r := range g[1:] {
			m[r] = g[0]
		}
	}
	return m
}

// plain splits a text into words of a-z and 0-9: lower case, without accents. What lists
// things (, ; + &) becomes the word "and", everything else a space.
func plain(s string) []string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		r = unicode.ToLower(r)
		switch f, ok := folds[r]; {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			b.WriteByte(byte(r))
		case ok:
			b.WriteByte(f)
		case r == 'œ':
			b.WriteString("oe")
		case 0x300 <= r && r <= 0x36f: // combining accents
		case strings.ContainsRune(",;+&", r):
			b.WriteString(" and ")
		default:
			b.WriteByte(' ')
		}
	}
	return strings.Fields(b.String())
}

// singular cuts the s or x of a plural.
func singular(w string) string {
	if n := len(w); n > 3 && (w[n-1] == 's' || w[n-1] == 'x') && w[n-2:] != "ss" {
		return w[:n-1]
	}
	return w
}

// colours are those that the model was trained in. The seed may choose one of the first
// few for a thing.
var colours = []string{"red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey"}

func isColour(w string) bool { return slices.Contains(colours, w) }

// oneColour maps other spellings, and French, to the names in colours.
var oneColour = map[string]string{
	"gray": "grey", "rouge": "red", "jaune": "yellow", "vert": "green", "verte": "green", "bleu": "blue", "bleue": "blue",
	"violet": "purple", "violette": "purple", "mauve": "purple", "pourpre": "purple", "brun": "brown", "brune": "brown",
	"noir": "black", "noire": "black", "blanc": "white", "blanche": "white", "gri": "grey", "gris": "grey", "grise": "grey",
}

// doubles are words for a colour and a thing. Beside another thing they are the colour,
// some only after it: "rose rouge" is a red rose, "voiture rose" a pink car.
var doubles = map[string]struct {
	colour, thing string
	first         bool // the colour even as the first word
}{
	"orange": {"orange", "tangerine", true},
	"rose":   {"pink", "rose", false},
	"marron": {"brown", "chestnut", true},
}

// nameColours gives the colours among the words of a thing their one name.
func nameColours(ws []string) []string {
	things := 0 // words that are no colour for certain
	for _, w := range ws {
		if !surelyColour(w) {
			things++
		}
	}
	out := make([]string, len(ws))
	for i, w := range ws {
		switch double, ok := doubles[w]; {
		case ok && things > 1 && (double.first || i > 0):
			out[i] = double.colour
		case ok:
			out[i] = double.thing
		default:
			out[i] = colourName(w)
		}
	}
	return out
}

func surelyColour(w string) bool {
	_, double := doubles[w]
	return !double && isColour(colourName(w))
}

func colourName(w string) string {
	if c, ok := oneColour[w]; ok {
		return c
	}
	return w
}

// share is round(4096/√n) for n up to what a prompt can need: the weight of each of n equal
// parts whose squares sum to one. A tint adds a word.
var share = shares((maxWords + 1) * 2 * maxLetters)

func shares(largest int) []int32 {
	out := make([]int32, largest+1)
	for n, r := 1, 4096; n <= largest; n++ {
		for (2*r-1)*(2*r-1)*n > 4*4096*4096 { // r - 1/2 is above 4096/√n
			r--
		}
		out[n] = int32(r)
	}
	return out
}

func tableRow(kind, s string) int {
	return int(crc32.ChecksumIEEE([]byte(kind+s)) % textRows)
}

// encode lists the rows of the text table that stand for the words of a thing, 1 to maxWords
// of them, in a style, with their weights in 1/4096.
func encode(ws []string, style string) []quant.Weighted {
	out := []quant.Weighted{{Row: tableRow("s", style), Weight: share[1]}}
	for _, w := range ws {
		w = w[:min(len(w), maxLetters)]
		weight := share[len(ws)]
		out = append(out, quant.Weighted{Row: tableRow("1", w), Weight: weight}, quant.Weighted{Row: tableRow("2", w), Weight: weight})
		parts := letterParts(w)
		weight = share[len(parts)*len(ws)]
		for _, p := range parts {
			out = append(out, quant.Weighted{Row: tableRow("g", p), Weight: weight})
		}
	}
	return out
}

// letterParts are the different 3- and 4-letter parts of "<w>".
func letterParts(w string) []string {
	p := "<" + w + ">"
	var out []string
	for n := 3; n <= 4; n++ {
		for i := 0; i+n <= len(p); i++ {
			out = append(out, p[i:i+n])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
