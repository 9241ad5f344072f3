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
	maxWords   = 10
	maxLetters = 32
)

// folds maps each letter with an accent to letters without: pairs, lower case.
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

// stopWords carry no picture.
var stopWords = wordSet(`a an the of with un une de la le les des du d l avec au aux et and in on`)

// oneForm maps spellings and inflections of colours to the one that was trained.
var oneForm = map[string]string{
	"gray": "grey", "violette": "violet", "verte": "vert", "bleue": "bleu", "noire": "noir", "blanche": "blanc",
	"grise": "gris", "brun": "marron", "brune": "marron",
}

// lettered are normalised words for things that show lettering or a side, and so are never mirrored.
var lettered = wordSet(`abc abcd 100 1234 ok atm zzz 24 18 number nombre letter lettre clock horloge watch montre calendar calendrier
	date left right gauche droite sign panneau symbol symbole question note musique dollar euro yen pound livre sterling medal
	medaille 1st 2nd 3rd first second third keyboard clavier newspaper journal map carte check aries belier taurus taureau gemini
	gemeaux cancer leo libra virgo scorpio sagittarius capricorn capricorne aquarius verseau pisces`)

func wordSet(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// words normalises a prompt: at most limit words of a-z and 0-9, and whether there
// were more.
func words(prompt string, limit int) (out []string, more bool) {
	for _, w := range strings.FieldsFunc(plain(prompt), func(r rune) bool { return r == ' ' }) {
		if stopWords[w] {
			continue
		}
		if len(out) == limit {
			return out, true
		}
		w = trimPlural(w)
		if f, ok := oneForm[w]; ok {
			w = f
		}
		out = append(out, w)
	}
	return out, false
}

// plain keeps a-z and 0-9, folds letters to those, drops combining accents, and
// makes a space of everything else.
func plain(s string) string {
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
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func trimPlural(w string) string {
	if n := len(w); n > 3 && (w[n-1] == 's' || w[n-1] == 'x') && w[n-2:] != "ss" {
		return w[:n-1]
	}
	return w
}

// root[n] is round(4096/√n).
var root = [...]int32{
	0, 4096, 2896, 2365, 2048, 1832, 1672, 1548, 1448, 1365, 1295, 1235, 1182, 1136, 1095, 1058,
	1024, 993, 965, 940, 916, 894, 873, 854, 836, 819, 803, 788, 774, 761, 748, 736,
	724, 713, 702, 692, 683, 673, 664, 656, 648, 640, 632, 625, 617, 611, 604, 597,
	591, 585, 579, 574, 568, 563, 557, 552, 547, 543, 538, 533, 529, 524, 520, 516,
}

func tableRow(kind, s string) int {
	return int(crc32.ChecksumIEEE([]byte(kind+s)) % textRows)
}

// encode lists the rows of the text table that stand for normalised words, 1 to maxWords of
// them, in a style, with their weights in 1/4096.
func encode(ws []string, style string) []quant.Weighted {
	share := root[len(ws)]
	out := []quant.Weighted{{Row: tableRow("s", style), Weight: 4096}}
	for _, w := range ws {
		w = w[:min(len(w), maxLetters)]
		parts := letterParts(w)
		out = append(out, quant.Weighted{Row: tableRow("1", w), Weight: share}, quant.Weighted{Row: tableRow("2", w), Weight: share})
		weight := (root[len(parts)]*share + 2048) >> 12
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

// styles are those of the training data, by the names that their table rows have;
// their first word, in a prompt, chooses them.
var styles = []string{"noto", "fluent-emoji-flat"}

// namedStyle takes the words that name a style out of ws. style is -1 if there are none.
func namedStyle(ws []string) (rest []string, style int) {
	style = -1
	for i, name := range styles {
		first, _, _ := strings.Cut(name, "-")
		if slices.Contains(ws, first) {
			style = i
		}
	}
	if style < 0 {
		return ws, style
	}
	parts := append(strings.Split(styles[style], "-"), "style")
	return slices.DeleteFunc(slices.Clone(ws), func(w string) bool { return slices.Contains(parts, w) }), style
}

// A vocabulary is the sorted words of the training captions.
type vocabulary []string

func newVocabulary(file string) vocabulary { return strings.Fields(file) }

// unseen lists, once each, the words that the model never saw.
func (v vocabulary) unseen(ws []string) []string {
	var out []string
	for _, w := range ws {
		if _, ok := slices.BinarySearch(v, w); !ok && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}
