package pixel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/essaim/essaim/engine"
)

const (
	maxThings = 4  // that a picture can show
	maxPrompt = 64 // words that are read, joints included
	maxJoined = 8  // words of a name with a joint in it
)

// Words of prompts, normalised.
var (
	// stopWords carry no picture.
	stopWords = wordSet("a an the of un une de la le les des du d l au aux some my mon ma mes")

	// joints stand between two things, unless they belong to the name of one.
	joints = wordSet("and et with avec plus in on dans sur")

	// counts before a thing repeat it.
	counts = map[string]int{"two": 2, "deu": 2, "2": 2, "three": 3, "troi": 3, "3": 3, "four": 4, "quatre": 4, "4": 4}
)

func wordSet(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// A lexicon is what the model knows by name. It is not changed once made.
type lexicon struct {
	seen     map[string]int      // known words: how often captions use them
	sorted   []string            // the same words
	joined   map[string]bool     // names that hold a joint or a count, such as "fork and knife"
	variants map[string][]string // things that an ambiguous name may mean; the seed chooses
	tintable map[string]bool     // things whose colour the seed may choose
}

// Words are those that the model knows well and that are written in letters, in English and French, for whoever makes up
// prompts. The caller owns the list.
func (e *Engine) Words() (out []string) {
	const well, letters = 6, 3
	for _, w := range e.lexicon.sorted {
		plain := !strings.ContainsFunc(w, func(r rune) bool { return !unicode.IsLetter(r) })
		if plain && len(w) >= letters && e.lexicon.seen[w] >= well && !stopWords[w] && !joints[w] {
			out = append(out, w)
		}
	}
	return out
}

// lexiconFiles are the model's files that make its lexicon.
var lexiconFiles = []string{"vocabulary.tsv", "joined.txt", "variants.tsv", "tintable.txt"}

func newLexicon(files map[string][]byte) (*lexicon, error) {
	l := &lexicon{seen: map[string]int{}, joined: map[string]bool{}, variants: map[string][]string{}, tintable: map[string]bool{}}
	read := map[string]func(key, value string) error{
		"vocabulary.tsv": func(w, n string) (err error) {
			l.sorted = append(l.sorted, w)
			l.seen[w], err = strconv.Atoi(n)
			return err
		},
		"joined.txt":   func(name, _ string) error { l.joined[name] = true; return nil },
		"variants.tsv": func(name, all string) error { l.variants[name] = strings.Split(all, "|"); return nil },
		"tintable.txt": func(name, _ string) error { l.tintable[name] = true; return nil },
	}
	for _, file := range lexiconFiles {
		for line := range strings.Lines(string(files[file])) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			if err := read[file](key, value); err != nil || key == "" {
				return nil, fmt.Errorf("%w: %s has the line %q", engine.ErrModelFiles, file, line)
			}
		}
	}
	return l, nil
}

// correct returns the known word that w is, or is one slip away from: "" if there is none.
func (l *lexicon) correct(w string) string {
	if l.seen[w] > 0 {
		return w
	}
	if len(w) < 3 || strings.Trim(w, "0123456789") == "" {
		return ""
	}
	for _, v := range []string{strings.ReplaceAll(w, "f", "ph"), strings.ReplaceAll(w, "ph", "f")} {
		if l.seen[v] > 0 {
			return v
		}
	}
	limit := slipOther
	if len(w) == 3 {
		limit = slipSwap // anything else makes another word of so short a one
	}
	best, found := limit, ""
	for _, v := range l.sorted {
		if len(v) < 3 || len(v)-len(w) > 1 || len(w)-len(v) > 1 {
			continue
		}
		if s := slip(w, v); s < best || s == best && (found == "" || l.seen[v] > l.seen[found]) {
			best, found = s, v
		}
	}
	return found
}

// Slips, the likeliest first.
const (
	slipSwap  = iota + 1 // two neighbours swapped
	slipCount            // a letter missing or too many
	slipOther            // a wrong letter
	slipFar              // more than one slip
)

// slip says how a, a word, comes from b, another one.
func slip(a, b string) int {
	if len(a) < len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	switch {
	case len(a) == len(b)+1 && a[i+1:] == b[i:]:
		return slipCount
	case len(a) > len(b):
		return slipFar
	case a[i+1:] == b[i+1:]:
		return slipOther
	case a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]:
		return slipSwap
	}
	return slipFar
}

// A reading is what a prompt means before the seed has its say.
type reading struct {
	things  [][]string  // words of each, none of them unknown
	style   int         // that the prompt names; -1: none
	slips   [][2]string // words read as other ones: what was written, what was read
	unknown []string    // words that say nothing to the model
	longer  bool        // there are more words than are read
	more    bool        // there are more things than are drawn
}

// read reads a prompt. Things of which it knows nothing, or a colour at most, are not among
// those it returns.
func (l *lexicon) read(prompt string) reading {
	var r reading
	var ws []string
	for _, w := range plain(prompt) {
		if stopWords[w] {
			continue
		}
		if r.longer = len(ws) == maxPrompt; r.longer {
			break
		}
		if !joints[w] {
			w = singular(w)
		}
		ws = append(ws, w)
	}
	ws, r.style = namedStyle(ws)
	for i, w := range ws {
		if c := l.correct(w); c != "" && c != w && !joints[w] && counts[w] == 0 {
			if s := [2]string{shorten(w), c}; !slices.Contains(r.slips, s) {
				r.slips = append(r.slips, s)
			}
			ws[i] = c
		}
	}
	for _, part := range l.split(ws) {
		r.add(l, part)
	}
	if r.more = len(r.things) > maxThings; r.more {
		r.things = r.things[:maxThings]
	}
	return r
}

// shorten cuts a word that is to be shown.
func shorten(w string) string { return w[:min(len(w), maxLetters)] }

// split returns the words of each thing, without joints.
func (l *lexicon) split(ws []string) (parts [][]string) {
	between := make([]bool, len(ws))
	for i, w := range ws {
		between[i] = joints[w]
	}
	for n := 2; n <= maxJoined; n++ {
		for i := 0; i+n <= len(ws); i++ {
			if l.joined[strings.Join(ws[i:i+n], " ")] {
				clear(between[i : i+n])
			}
		}
	}
	var part []string
	for i, w := range ws {
		switch {
		case between[i]:
			parts, part = append(parts, part), nil
		case !joints[w]:
			part = append(part, w)
		}
	}
	return slices.DeleteFunc(append(parts, part), func(p []string) bool { return len(p) == 0 })
}

// add adds the thing that some words name, as often as they say.
func (r *reading) add(l *lexicon, part []string) {
	n := 1
	if count := counts[part[0]]; count > 0 && len(part) > 1 && !l.nameBegins(part) {
		n, part = count, part[1:]
	}
	var thing []string
	for _, w := range part {
		switch {
		case l.seen[w] > 0:
			thing = append(thing, w)
		case !slices.Contains(r.unknown, shorten(w)):
			r.unknown = append(r.unknown, shorten(w))
		}
	}
	thing = nameColours(thing)
	if len(thing) < len(part) && noun(thing) == "" {
		return
	}
	if len(thing) > maxWords {
		thing, r.longer = thing[:maxWords], true
	}
	for range n {
		r.things = append(r.things, thing)
	}
}

// nameBegins reports whether the words begin with a joined name, such as "3 h".
func (l *lexicon) nameBegins(ws []string) bool {
	for n := range min(len(ws), maxJoined) {
		if l.joined[strings.Join(ws[:n+1], " ")] {
			return true
		}
	}
	return false
}

// noun is a thing's name without its colours.
func noun(thing []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(thing), isColour), " ")
}

// styles are those of the training data, by the names that their table rows have; their
// first word, in a prompt, chooses them.
var styles = []string{"noto", "fluent-emoji-flat", "twemoji"}

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
	return slices.DeleteFunc(ws, func(w string) bool { return slices.Contains(parts, w) }), style
}
