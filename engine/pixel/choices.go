package pixel

import (
	"slices"
	"strings"

	"github.com/essaim/essaim/quant"
)

// Draws of a seed that choose. Draw i+1 is for thing i.
const (
	drawStyle  = 0
	drawLayout = 9
)

// A thing is one of those that a picture shows, as the network is asked for it and as it is
// laid onto the picture.
type thing struct {
	words []string
	style string
	pose  pose
}

// What the seed chooses among.
var (
	zooms = []int{256, 256, 272, 292}    // source pixels a pixel, in 1/256
	tilts = []int{0, 0, 0, -18, 18, -30} // sine of the angle, in 1/256
	tints = colours[:8]                  // of a thing without a colour
)

// place is a square of the picture, in 64ths of its side.
type place struct{ size, x, y int }

// layouts are, for each number of things, the places that they may have.
var layouts = [maxThings + 1][][]place{
	1: {{{64, 0, 0}}},
	2: {{{36, 0, 4}, {36, 28, 24}}, {{36, 0, 24}, {36, 28, 4}}, {{34, 0, 15}, {34, 30, 15}}},
	3: {{{32, 16, 0}, {32, 0, 32}, {32, 32, 32}}, {{32, 0, 0}, {32, 32, 0}, {32, 16, 32}}},
	4: {{{32, 0, 0}, {32, 32, 0}, {32, 0, 32}, {32, 32, 32}}},
}

// choose lets the seed choose all that the prompt leaves open. There is at least one thing.
func (l *lexicon) choose(r reading, seed uint64) []thing {
	layout := pick(layouts[len(r.things)], quant.Draw(seed, drawLayout))
	if r.style < 0 {
		r.style = int(quant.Draw(seed, drawStyle) % uint64(len(styles)))
	}
	out := make([]thing, len(r.things))
	for i, words := range r.things {
		q := quant.Draw(seed, uint64(i)+1)
		t := thing{
			words: l.vary(words, q),
			style: styles[r.style],
			pose:  pose{place: layout[i], zoom: zooms[0], tilt: pick(tilts, q>>16&0xffff), mirror: q&1 == 1 && !hasSides(words)},
		}
		if len(out) == 1 {
			t.pose.zoom = pick(zooms, q>>8)
		}
		out[i] = t
	}
	return out
}

// pick is the element of all that a draw chooses.
func pick[T any](all []T, draw uint64) T { return all[draw%uint64(len(all))] }

// vary chooses one of the things that the words may mean, and its colour if they name none.
func (l *lexicon) vary(ws []string, draw uint64) []string {
	name := noun(ws)
	coloured := slices.ContainsFunc(ws, isColour)
	if all := l.variants[name]; len(all) > 0 {
		ws = slices.DeleteFunc(slices.Clone(ws), func(w string) bool { return !isColour(w) })
		for _, w := range strings.Fields(pick(all, draw>>32&0xff)) {
			if !coloured || !isColour(w) {
				ws = append(ws, w)
			}
		}
	}
	if draw>>48&7 == 0 && l.tintable[name] && !slices.ContainsFunc(ws, isColour) {
		ws = append([]string{pick(tints, draw>>40&0xff)}, ws...)
	}
	return ws
}

// sided are words of things that show lettering or a side, and so are never mirrored.
var sided = singularSet(`abc abcd 100 1234 ok atm zzz 24 18 number nombre letter lettre clock horloge watch montre calendar calendrier
	date left right gauche droite sign panneau symbol symbole question note musique dollar euro yen pound livre sterling medal
	medaille 1st 2nd 3rd first second third keyboard clavier newspaper journal map carte check aries belier taurus taureau gemini
	gemeaux cancer leo libra virgo scorpio sagittarius capricorn capricorne aquarius verseau pisces`)

func singularSet(s string) map[string]bool {
	m := map[string]bool{}
	for w := range wordSet(s) {
		m[singular(w)] = true
	}
	return m
}

func hasSides(ws []string) bool {
	return slices.ContainsFunc(ws, func(w string) bool { return sided[w] })
}
