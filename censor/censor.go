// Package censor finds phrases that somebody does not want to serve: a gateway in what its API keys'
// users ask, a miner in what it opens. A coordinator reads nothing, so it finds nothing.
//
// It compares words as they are written, whatever their case and what stands between them; who means to get
// around a list will. It must not keep or show what it looks at, nor which phrase was found: that
// would tell a stranger the list.
package censor

import (
	_ "embed"
	"os"
	"strings"
	"unicode"

	"github.com/essaim/essaim"
)

// Default is the name of the built-in list.
const Default = "default"

//go:embed words.txt
var builtIn string

// maxPhrase bounds the words of a phrase.
const maxPhrase = 16

// List holds phrases. nil finds nothing. It is safe for concurrent use.
type List struct {
	phrases map[string]bool // words, one space between
	longest int             // words
}

// Open reads a list: the built-in one by the name Default, or a file with a phrase a line; "" is nil.
//
// Errors: CodeBadInput for a file that cannot be read or that has no phrase.
func Open(name string) (*List, error) {
	switch name {
	case "":
		return nil, nil
	case Default:
		return Parse(builtIn)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "name a file with a phrase a line, or "+Default, "list of words: %w", err)
	}
	return Parse(string(b))
}

// Parse reads a list; what begins with # is a comment.
//
// Errors: CodeBadInput for a phrase that is too long, or if there is none.
func Parse(text string) (*List, error) {
	l := &List{phrases: map[string]bool{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		words := split(line)
		switch {
		case strings.HasPrefix(line, "#") || len(words) == 0:
			continue
		case len(words) > maxPhrase:
			return nil, essaim.Errorf(essaim.CodeBadInput, "shorten it", "a phrase of %d words, at most %d", len(words), maxPhrase)
		}
		l.phrases[strings.Join(words, " ")] = true
		l.longest = max(l.longest, len(words))
	}
	if len(l.phrases) == 0 {
		return nil, essaim.Errorf(essaim.CodeBadInput, "write a phrase a line", "the list of words is empty")
	}
	return l, nil
}

func split(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
}

// Finds reports whether a text has one of the phrases.
func (l *List) Finds(text string) bool {
	if l == nil {
		return false
	}
	words := split(text)
	for i := range words {
		for n := 1; n <= l.longest && i+n <= len(words); n++ {
			if l.phrases[strings.Join(words[i:i+n], " ")] {
				return true
			}
		}
	}
	return false
}
