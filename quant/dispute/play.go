package dispute

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/essaim/essaim/quant"
)

// ErrNothing is a side's that has no move: the miner's if its record is not the signed trace's, the challenger's if
// what it computed is what the miner signed.
var ErrNothing = errors.New("nothing to say")

// A Miner answers from the record of the run that it signed.
type Miner struct {
	Record *Record
	Model  *Model
	Salt   quant.Hash // of the plan
}

// Answer is the miner's next move.
//
// Errors: wraps ErrNothing.
func (p Miner) Answer(g *Game, rules Rules) (Move, error) {
	r := p.Record
	if g.Turn() != TheMiner || g.Trace != (quant.Hash{}) && r.Trace() != g.Trace {
		return Move{}, fmt.Errorf("%w: it is not the miner's turn, or another trace", ErrNothing)
	}
	switch g.Stage {
	case Opening:
		return Move{Open: &Opened{Operators: len(r.leaves), Tree: treeRoot(r.leaves), Words: r.shows(0, true), Salt: p.Salt}}, nil
	case Revealing:
		leaves, err := r.disputed(g)
		return Move{Nodes: below(leaves, g.Node.span())}, err
	case Showing:
		at := g.Node.From
		if g.Tied {
			at = len(r.leaves) - 1
		}
		leaf := r.shows(at, g.Tied)
		return Move{Operator: &leaf}, nil
	case Blocking:
		h, err := g.header()
		if err != nil {
			return Move{}, err
		}
		return Move{Block: r.Operators[h.ID-1].block(g.Node.From)}, nil
	}
	states, err := r.states(g, rules, p.Model)
	return Move{States: states}, err
}

func (r *Record) shows(at int, rest bool) Leaf {
	o := r.Operators[at]
	l := Leaf{Header: o.Header.Append(nil), Output: o.root}
	if rest {
		l.Rest = restOf(r.leaves, []int{at})
	}
	return l
}

func (o Operator) block(at int) []byte {
	return o.Output[at*quant.BlockSize:][:blockSize(len(o.Output), at)]
}

// disputed are the leaves of the tree that the game is in.
func (r *Record) disputed(g *Game) ([]quant.Hash, error) {
	if len(g.Operator.Header) == 0 {
		return r.leaves, nil
	}
	h, err := g.header()
	if err != nil || h.ID < 1 || h.ID > len(r.Operators) || g.Node.To > len(r.Operators[h.ID-1].blocks) {
		return nil, fmt.Errorf("%w: operator %d is another one", ErrNothing, h.ID)
	}
	return r.Operators[h.ID-1].blocks, nil
}

func below(leaves []quant.Hash, s span) (out []quant.Hash) {
	if s.To > len(leaves) {
		return nil
	}
	for _, n := range s.below(fan) {
		out = append(out, treeRoot(leaves[n.From:n.To]))
	}
	return out
}

// states are what the record's inputs, or its result, give at the bounds of the disputed steps.
func (r *Record) states(g *Game, rules Rules, m *Model) (out []State, err error) {
	bounds := g.Steps.bounds()
	if g.Tied {
		all, s := r.result(), digestStart
		if quant.BlockCount(len(all)) < g.Steps.To {
			return nil, fmt.Errorf("%w: the result has another size", ErrNothing)
		}
		for i := range g.Steps.To {
			if len(out) < len(bounds) && i == bounds[len(out)] {
				out = append(out, s)
			}
			s = digestStep(s, all[i*quant.BlockSize:][:blockSize(len(all), i)], i, len(all))
		}
		return out, nil
	}
	v := int64(0)
	e, kind, src, err := r.source(g, rules, m)
	for i := 0; err == nil && i < g.Steps.To; i++ {
		if len(out) < len(bounds) && i == bounds[len(out)] {
			out = append(out, stateOf(v))
		}
		v = kind.Step(e, i, v, src)
	}
	return out, err
}

// source reads what the disputed element follows from.
func (r *Record) source(g *Game, rules Rules, m *Model) (quant.Element, quant.Kind, *reader, error) {
	h, err := g.header()
	if err != nil || m == nil || h.ID > len(r.Operators) {
		return quant.Element{}, quant.Kind{}, nil, fmt.Errorf("%w: no operator %d, or no model", ErrNothing, h.ID)
	}
	e, err := r.element(h.ID, g.At)
	kind, ok := rules.Kinds[e.Kind]
	if err != nil || !ok {
		return e, kind, nil, fmt.Errorf("%w: %s", ErrNothing, e.Kind)
	}
	return e, kind, r.read(m, e), nil
}

// A Challenger leads the game from the record of its own run of the same request.
type Challenger struct {
	Record *Record
	Model  *Model
}

// Ask is the challenger's next move: to the first thing that differs.
//
// Errors: wraps ErrNothing.
func (p Challenger) Ask(g *Game, rules Rules) (Move, error) {
	r := p.Record
	same := fmt.Errorf("%w: nothing differs", ErrNothing)
	switch g.Stage {
	case Choosing:
		return p.choose(g)
	case Picking:
		leaves, err := r.disputed(g)
		own := below(leaves, g.Node.span())
		for i, n := range g.Nodes {
			if err == nil && (len(own) <= i || n != own[i]) {
				return Move{Pick: i}, nil
			}
		}
		return Move{}, errors.Join(same, err)
	case Naming:
		h, err := g.header()
		if err != nil {
			return Move{}, err
		}
		own := r.Operators[h.ID-1].block(g.Node.From)
		for i, b := range own {
			if b != g.Block[i] {
				return Move{Pick: i / h.Type.Size()}, nil
			}
		}
		return Move{}, same
	case Doubting:
		own, err := r.states(g, rules, p.Model)
		if err != nil {
			return Move{}, err
		}
		i := 0
		for i < len(own) && own[i] == g.States[i] {
			i++
		}
		return Move{Pick: i}, nil
	case Proving:
		return p.prove(g, rules)
	}
	return Move{}, fmt.Errorf("%w: it is not the challenger's turn", ErrNothing)
}

func (p Challenger) choose(g *Game) (Move, error) {
	r := p.Record
	switch {
	case r.Trace() == g.Trace && sha256.Sum256(r.result()) == g.Result:
		return Move{}, fmt.Errorf("%w: the same trace, the same result", ErrNothing)
	case r.Trace() == g.Trace:
		return Move{Pick: 1}, nil
	}
	return Move{Withdraw: !bytes.Equal(r.Operators[0].Header.Append(nil), g.Opened.Words.Header)}, nil
}

func (p Challenger) prove(g *Game, rules Rules) (Move, error) {
	r := p.Record
	if g.Tied {
		last := len(r.Operators) - 1
		o := r.Operators[last]
		return Move{Evidence: &Evidence{
			Inputs: []Shown{{
				At: last, Leaf: o.Header.Append(nil), Rest: restOf(o.blocks, []int{g.Steps.From}), Blocks: []Block{{g.Steps.From, o.block(g.Steps.From)}},
			}},
			Rest: restOf(r.leaves, []int{last}),
		}}, nil
	}
	e, kind, src, err := r.source(g, rules, p.Model)
	if err != nil {
		return Move{}, err
	}
	kind.Step(e, g.Steps.From, g.Steps.Before.number(), src)
	v := src.evidence()
	return Move{Evidence: &v}, nil
}

// Moves and games have one encoding: deterministic CBOR.
var (
	encoding, _ = cbor.CoreDetEncOptions().EncMode()
	decoding, _ = cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		TagsMd: cbor.TagsForbidden, MaxArrayElements: 1 << 10, MaxMapPairs: 64,
	}.DecMode()
)

// Encode is a move's bytes.
func (m Move) Encode() ([]byte, error) { return encoding.Marshal(m) }

// DecodeMove reads a move from anyone.
//
// Errors: wraps ErrMove.
func DecodeMove(b []byte) (m Move, err error) {
	if len(b) > MaxMove {
		return m, fmt.Errorf("%w: %d bytes, at most %d", ErrMove, len(b), MaxMove)
	}
	if err := decoding.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrMove, err)
	}
	return m, nil
}

// Encode is a game's bytes.
func (g *Game) Encode() ([]byte, error) { return encoding.Marshal(g) }

// DecodeGame reads what Encode wrote.
func DecodeGame(b []byte) (*Game, error) {
	g := new(Game)
	return g, decoding.Unmarshal(b, g)
}
