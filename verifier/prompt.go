package verifier

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What canaries ask for, as people do: in two languages, with colours, places, several things, capitals, full stops and
// slips. A miner that wants to tell them from users' prompts has as many forms to learn as a model has words.
var (
	someWords = strings.Fields(`apple house star tree fish boat ball flower car moon cat dog horse rocket pizza guitar castle bird lamp clock
		pomme maison étoile arbre poisson bateau fleur voiture lune chat chien cheval fusée château oiseau lampe`)
	colours = strings.Fields("red blue green yellow white black orange purple pink brown rouge bleu vert jaune blanc noir rose violet gris")
	places  = []string{
		"on a table", "on a green hill", "at night", "in the snow", "by the sea", "in a garden", "under the stars", "in the rain", "on a beach", "in a forest",
		"dans un jardin", "sur une table", "la nuit", "sous la pluie", "au bord de la mer", "dans la forêt",
	}
	openings = []string{"a", "a", "a", "the", "one", "two", "three", "my", "un", "une", "le", "la", "deux", "a picture of a", "a small", "a big", "draw a", ""}
	joints   = []string{"and a", "with a", "and a", "et un", "avec un"}
	styles   = strings.Fields("noto fluent twemoji")
)

// prompt makes up what a person could ask of a model that knows some words.
func prompt(words []string) string {
	if len(words) == 0 {
		words = someWords
	}
	thing := func() (out []string) {
		if chance(2) {
			out = append(out, pick(colours))
		}
		return append(out, pick(words))
	}
	text := append([]string{pick(openings)}, thing()...)
	for chance(4) {
		text = append(append(text, pick(joints)), thing()...)
	}
	if chance(3) {
		text = append(text, pick(places))
	}
	if chance(12) {
		text = append(text, pick(styles))
	}
	if chance(10) {
		i := int(below(int64(len(text))))
		text[i] = slip(text[i])
	}
	said := strings.TrimSpace(strings.Join(text, " "))
	if chance(4) {
		first, n := utf8.DecodeRuneInString(said)
		said = string(unicode.ToUpper(first)) + said[n:]
	}
	if chance(8) {
		said += "."
	}
	return said
}

// slip swaps two letters of a longer word.
func slip(word string) string {
	r := []rune(word)
	if len(r) < 4 || strings.Contains(word, " ") {
		return word
	}
	i := 1 + int(below(int64(len(r)-2)))
	r[i], r[i+1] = r[i+1], r[i]
	return string(r)
}

// chance is true once in n.
func chance(n int64) bool { return below(n) == 0 }
