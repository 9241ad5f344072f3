package pixel

import (
	"slices"
	"strings"

	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/program"
)

// drawStyle is the draw of a seed that chooses the style; program.Choose has the others.
const drawStyle = 0

// A thing is one of those that a picture shows, as the network is asked for it and as it is
// laid onto the picture.
type thing struct {
	words []string
	style string
	sided bool // it must not be mirrored
	pose  pose
}

// tints are the colours of a thing without one that the seed chooses among.
var tints = colours[:8]

// place is a square of the picture, in 64ths of its side.
type place = program.Place

// choose lets the seed choose all that the prompt leaves open. There is at least one thing.
func (l *lexicon) choose(r reading, seed uint64) []thing {
	if r.style < 0 {
		r.style = int(quant.Draw(seed, drawStyle) % uint64(len(styles)))
	}
	out := make([]thing, len(r.things))
	for i, c := range program.Choose(seed, len(r.things)) {
		words, sided := r.things[i], hasSides(r.things[i])
		out[i] = thing{
			words: l.vary(words, c.Draw),
			style: styles[r.style],
			sided: sided,
			pose:  pose{place: c.Place, zoom: c.Zoom, tilt: c.Tilt, mirror: c.Mirror && !sided},
		}
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
