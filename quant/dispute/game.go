package dispute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/essaim/essaim/quant"
)

// Side is one of the two parties.
type Side uint8

// The sides.
const (
	Nobody Side = iota
	TheMiner
	TheChallenger
)

// Verdict is how a game ends.
type Verdict uint8

// The verdicts.
const (
	Playing         Verdict = iota
	MinerWrong              // what it signed is not what the model gives
	ChallengerWrong         // what was disputed is right, or was not shown to be wrong
	Undecided               // the two differ in what follows from the prompt, which no judge knows
)

// Stage is what the game waits for.
type Stage uint8

// The stages, in the order in which they can come first.
const (
	Opening   Stage = iota + 1 // miner: Move.Open
	Choosing                   // challenger: Pick 0 for the operators, 1 for the result, or Withdraw
	Revealing                  // miner: Nodes
	Picking                    // challenger: Pick
	Showing                    // miner: Operator
	Blocking                   // miner: Block
	Naming                     // challenger: Pick, an element of the block
	Stating                    // miner: States
	Doubting                   // challenger: Pick
	Proving                    // challenger: Evidence
	Over
)

var turns = map[Stage]Side{
	Opening: TheMiner, Choosing: TheChallenger, Revealing: TheMiner, Picking: TheChallenger, Showing: TheMiner,
	Blocking: TheMiner, Naming: TheChallenger, Stating: TheMiner, Doubting: TheChallenger, Proving: TheChallenger,
}

// A State is what a step makes of the one before: of an element's steps a number, of a result's digest the
// state of SHA-256.
type State [32]byte

func stateOf(v int64) (s State) {
	binary.LittleEndian.PutUint64(s[:], uint64(v))
	return s
}

func (s State) number() int64 { return int64(binary.LittleEndian.Uint64(s[:])) }

// A Move is what a side says; which part of it counts depends on the stage.
type Move struct {
	Pick     int          `cbor:"1,keyasint,omitempty"`
	Withdraw bool         `cbor:"2,keyasint,omitempty"`
	Evidence *Evidence    `cbor:"3,keyasint,omitempty"`
	Open     *Opened      `cbor:"4,keyasint,omitempty"`
	Nodes    []quant.Hash `cbor:"5,keyasint,omitempty"`
	Operator *Leaf        `cbor:"6,keyasint,omitempty"`
	Block    []byte       `cbor:"7,keyasint,omitempty"`
	States   []State      `cbor:"8,keyasint,omitempty"`
}

// Opened says what a trace is of, and opens the plan.
type Opened struct {
	Operators int        `cbor:"1,keyasint"`
	Tree      quant.Hash `cbor:"2,keyasint"`
	Words     Leaf       `cbor:"3,keyasint"`
	Salt      quant.Hash `cbor:"4,keyasint,omitzero"` // of the plan
}

// A Leaf is an operator of a trace, and the way to it if that is not known.
type Leaf struct {
	Header []byte       `cbor:"1,keyasint"`
	Output quant.Hash   `cbor:"2,keyasint"` // root of its blocks
	Rest   []quant.Hash `cbor:"3,keyasint,omitempty"`
}

func (l Leaf) hash() quant.Hash { return quant.LeafHash(slices.Concat(l.Header, l.Output[:])) }

// Program says which operators a run has; see package program.
type Program interface {
	Len() int
	Header(id int) quant.Header
	Check(h quant.Header) error
}

// Rules are what the judge knows of the disputed run.
type Rules struct {
	Program func(words quant.Header) (Program, error)
	Kinds   map[string]quant.Kind
}

// ErrMove is wrapped by complaints about moves that the rules do not allow. The game is as it was.
var ErrMove = errors.New("no such move")

// MaxMove bounds a move's bytes.
const MaxMove = 4096

// A Claim is what the two disagree about.
type Claim struct {
	Trace  quant.Hash `cbor:"1,keyasint"`           // that the miner committed to; zero: to none before its first move
	Result quant.Hash `cbor:"2,keyasint"`           // SHA-256 of the result that it signed
	Model  quant.Hash `cbor:"3,keyasint"`           // root
	Plan   quant.Hash `cbor:"17,keyasint,omitzero"` // quant.PlanHash of how the run begins, as the payer signed it; zero: it did not
}

// A Game is the judge's side. It holds all that it must remember between two moves, at most a few kilobytes.
type Game struct {
	Claim

	Stage   Stage   `cbor:"4,keyasint"`
	Verdict Verdict `cbor:"5,keyasint,omitempty"`

	Opened   Opened       `cbor:"6,keyasint,omitzero"`
	Tied     bool         `cbor:"7,keyasint,omitempty"` // the result is disputed, not an operator
	Node     Node         `cbor:"8,keyasint,omitzero"`  // that is disputed, of the operators' tree or of an output's
	Nodes    []quant.Hash `cbor:"9,keyasint,omitempty"` // that are revealed below it
	Lefts    []quant.Hash `cbor:"10,keyasint,omitempty"`
	Before   quant.Hash   `cbor:"11,keyasint,omitzero"` // root of the operators before the disputed one, which both sides agree on
	Operator Leaf         `cbor:"12,keyasint,omitzero"`
	Block    []byte       `cbor:"13,keyasint,omitempty"`
	At       int          `cbor:"14,keyasint,omitempty"` // element
	Steps    Steps        `cbor:"15,keyasint,omitzero"`
	States   []State      `cbor:"16,keyasint,omitempty"`
}

// A Node is a disputed node of a tree: that its hash is right.
type Node struct {
	From int        `cbor:"1,keyasint"` // leaves
	To   int        `cbor:"2,keyasint"`
	Hash quant.Hash `cbor:"3,keyasint"`
}

func (n Node) span() span { return span{n.From, n.To} }

// Steps are disputed steps: that they lead from one state to the other.
type Steps struct {
	From   int   `cbor:"1,keyasint"`
	To     int   `cbor:"2,keyasint"`
	Before State `cbor:"3,keyasint"`
	After  State `cbor:"4,keyasint"`
}

// bounds are where the parts end into which the steps are cut, without the last one.
func (s Steps) bounds() (out []int) {
	n := min(s.To-s.From, Fan)
	for i := 1; i < n; i++ {
		out = append(out, s.From+(s.To-s.From)*i/n)
	}
	return out
}

// New is a game about a claim.
func New(c Claim) *Game { return &Game{Claim: c, Stage: Opening} }

// Turn is the side that must move.
func (g *Game) Turn() Side { return turns[g.Stage] }

// Timeout ends the game against the side that did not move.
func (g *Game) Timeout() {
	if g.Turn() == TheMiner {
		g.end(MinerWrong)
	} else if g.Turn() == TheChallenger {
		g.end(ChallengerWrong)
	}
}

func (g *Game) end(v Verdict) { g.Stage, g.Verdict = Over, v }

// Move makes the move of the side whose turn it is. A miner that shows a trace that is none of the run's loses
// by that.
//
// Errors: wraps ErrMove or ErrEvidence; then nothing has changed.
func (g *Game) Move(rules Rules, m Move) error {
	next := *g
	if err := next.move(rules, m); err != nil {
		return err
	}
	*g = next
	return nil
}

func (g *Game) move(rules Rules, m Move) error {
	switch g.Stage {
	case Opening:
		return g.open(rules, m.Open)
	case Choosing:
		return g.choose(m)
	case Revealing:
		return g.reveal(m.Nodes)
	case Picking:
		return g.pick(m.Pick)
	case Showing:
		return g.show(rules, m.Operator)
	case Blocking:
		return g.block(m.Block)
	case Naming:
		return g.name(rules, m.Pick)
	case Stating:
		return g.state(m.States)
	case Doubting:
		return g.doubt(m.Pick)
	case Proving:
		return g.prove(rules, m.Evidence)
	}
	return fmt.Errorf("%w: the game is over", ErrMove)
}

func (g *Game) open(rules Rules, o *Opened) error {
	if o == nil || o.Operators < 1 || g.Trace != (quant.Hash{}) && quant.TraceRoot(o.Operators, o.Tree) != g.Trace {
		return fmt.Errorf("%w: that is not the trace", ErrMove)
	}
	if g.planned() && quant.PlanHash(o.Salt, quant.TraceRoot(1, o.Words.hash())) != g.Plan {
		return fmt.Errorf("%w: that is not how the plan begins", ErrMove)
	}
	if root, err := rootOf(o.Operators, []leafAt{{0, o.Words.hash()}}, o.Words.Rest); err != nil || root != o.Tree {
		return fmt.Errorf("%w: that is not the first operator", ErrMove)
	}
	g.Stage, g.Opened, g.Trace = Choosing, *o, quant.TraceRoot(o.Operators, o.Tree)
	g.Opened.Words.Rest = nil
	if p, err := g.program(rules); err != nil || p.Len() != o.Operators {
		g.end(MinerWrong) // it committed to something that is no run
	}
	return nil
}

// planned reports whether the payer said how the run begins.
func (g *Game) planned() bool { return g.Plan != (quant.Hash{}) }

// program is that of the run; its error says that the opened trace is none.
func (g *Game) program(rules Rules) (Program, error) {
	h, rest, err := quant.ReadHeader(g.Opened.Words.Header)
	if err != nil || len(rest) > 0 {
		return nil, errors.Join(err, errPath)
	}
	return rules.Program(h)
}

func (g *Game) choose(m Move) error {
	switch {
	case m.Withdraw && g.planned():
		g.end(ChallengerWrong) // nothing was left open that it could not have known before
	case m.Withdraw:
		g.end(Undecided)
	case m.Pick == 0:
		g.Node = Node{0, g.Opened.Operators, g.Opened.Tree}
		g.descend()
	case m.Pick == 1:
		g.Tied, g.Stage = true, Showing
	default:
		return fmt.Errorf("%w: there are two things to dispute", ErrMove)
	}
	return nil
}

// descend waits for what comes after a disputed node of a tree.
func (g *Game) descend() {
	g.Nodes = nil
	switch {
	case !g.Node.span().leaf():
		g.Stage = Revealing
	case len(g.Operator.Header) > 0:
		g.Stage = Blocking
	default:
		g.Before, g.Lefts = prefixRoot(g.Lefts), nil
		g.Stage = Showing
	}
}

func (g *Game) reveal(nodes []quant.Hash) error {
	s := g.Node.span()
	if len(nodes) != len(s.below(fan)) {
		return fmt.Errorf("%w: %d nodes", ErrMove, len(nodes))
	}
	rest := nodes
	if s.fold(fan, &rest, s.From, new([]quant.Hash)) != g.Node.Hash {
		return fmt.Errorf("%w: %w", ErrMove, errPath)
	}
	g.Nodes, g.Stage = nodes, Picking
	return nil
}

func (g *Game) pick(i int) error {
	if i < 0 || i >= len(g.Nodes) {
		return fmt.Errorf("%w: %d of %d nodes", ErrMove, i, len(g.Nodes))
	}
	s, rest := g.Node.span(), g.Nodes
	next := s.below(fan)[i]
	lefts := slices.Clone(g.Lefts)
	s.fold(fan, &rest, next.From, &lefts)
	g.Lefts, g.Node = lefts, Node{next.From, next.To, g.Nodes[i]}
	g.descend()
	return nil
}

func (g *Game) show(rules Rules, l *Leaf) error {
	if l == nil {
		return fmt.Errorf("%w: no operator", ErrMove)
	}
	if g.Tied {
		last := g.Opened.Operators - 1
		if root, err := rootOf(last+1, []leafAt{{last, l.hash()}}, l.Rest); err != nil || root != g.Opened.Tree {
			return fmt.Errorf("%w: that is not the last operator", ErrMove)
		}
		g.Node = Node{From: last, To: last + 1}
	} else if l.hash() != g.Node.Hash {
		return fmt.Errorf("%w: that is not the operator", ErrMove)
	}
	g.Operator = Leaf{Header: l.Header, Output: l.Output}
	h, rest, err := quant.ReadHeader(l.Header)
	if err != nil || len(rest) > 0 || h.ID != g.Node.From+1 {
		g.end(MinerWrong)
		return nil
	}
	p, err := g.program(rules)
	if err != nil {
		return err
	}
	switch {
	case p.Check(h) != nil:
		g.end(MinerWrong) // another operator belongs there
	case g.Tied:
		g.Steps = Steps{To: quant.BlockCount(h.Size()), Before: digestStart, After: State(g.Result)}
		g.step()
	case h.ID == 1 && g.planned():
		g.end(ChallengerWrong) // it is the plan's
	case h.ID == 1:
		g.end(Undecided)
	default:
		return g.enter()
	}
	return nil
}

// enter begins with the disputed operator's output.
func (g *Game) enter() error {
	h, err := g.header()
	if err != nil {
		return err
	}
	g.Node = Node{0, quant.BlockCount(h.Size()), g.Operator.Output}
	g.descend()
	return nil
}

func (g *Game) header() (quant.Header, error) {
	h, _, err := quant.ReadHeader(g.Operator.Header)
	return h, err
}

func (g *Game) block(b []byte) error {
	h, err := g.header()
	if err != nil {
		return err
	}
	if quant.LeafHash(b) != g.Node.Hash {
		return fmt.Errorf("%w: that is not the block", ErrMove)
	}
	g.Block, g.Stage = b, Naming
	if len(b) != blockSize(h.Size(), g.Node.From) {
		g.end(MinerWrong)
	}
	return nil
}

func (g *Game) name(rules Rules, i int) error {
	h, err := g.header()
	if err != nil {
		return err
	}
	if i < 0 || i >= len(g.Block)/h.Type.Size() {
		return fmt.Errorf("%w: the block has no element %d", ErrMove, i)
	}
	g.At = g.Node.From*quant.BlockSize/h.Type.Size() + i
	e, kind, err := g.element(rules)
	if err != nil {
		return err
	}
	g.Steps = Steps{To: kind.StepsOf(e), After: stateOf(int64(h.Type.ElementOf(g.Block[i*h.Type.Size():])))}
	g.step()
	return nil
}

// element is the disputed one, and its kind.
func (g *Game) element(rules Rules) (e quant.Element, kind quant.Kind, err error) {
	if e.Header, err = g.header(); err != nil {
		return e, kind, err
	}
	e.At = g.At
	p, err := g.program(rules)
	if err != nil {
		return e, kind, err
	}
	for _, in := range e.Header.In {
		e.Inputs = append(e.Inputs, p.Header(in))
	}
	kind, ok := rules.Kinds[e.Kind]
	if !ok {
		err = fmt.Errorf("%w: what %s puts out follows from the prompt", ErrMove, e.Kind)
	}
	return e, kind, err
}

// step waits for what comes after disputed steps.
func (g *Game) step() {
	g.States, g.Stage = nil, Stating
	if g.Steps.To-g.Steps.From == 1 {
		g.Stage = Proving
	}
}

func (g *Game) state(states []State) error {
	if len(states) != len(g.Steps.bounds()) {
		return fmt.Errorf("%w: %d states, want %d", ErrMove, len(states), len(g.Steps.bounds()))
	}
	g.States, g.Stage = states, Doubting
	return nil
}

func (g *Game) doubt(i int) error {
	if i < 0 || i > len(g.States) {
		return fmt.Errorf("%w: %d of %d parts", ErrMove, i, len(g.States)+1)
	}
	bounds, s := g.Steps.bounds(), g.Steps
	if i > 0 {
		s.From, s.Before = bounds[i-1], g.States[i-1]
	}
	if i < len(bounds) {
		s.To, s.After = bounds[i], g.States[i]
	}
	g.Steps = s
	g.step()
	return nil
}

func (g *Game) prove(rules Rules, v *Evidence) error {
	if v == nil {
		return fmt.Errorf("%w: no evidence", ErrMove)
	}
	after, err := g.judge(rules, *v)
	if err != nil {
		return err
	}
	g.end(MinerWrong)
	if after == g.Steps.After {
		g.Verdict = ChallengerWrong
	}
	return nil
}

// judge computes the disputed step.
func (g *Game) judge(rules Rules, v Evidence) (State, error) {
	if g.Tied {
		h, err := g.header()
		if err != nil {
			return State{}, err
		}
		e := quant.Element{Header: quant.Header{ID: g.Opened.Operators + 1, In: []int{g.Opened.Operators}}, Inputs: []quant.Header{h}}
		s, err := v.open(e, g.Opened.Tree, g.Model)
		if err != nil {
			return State{}, err
		}
		if len(s.inputs) != 1 || s.inputs[0].At != g.Opened.Operators-1 || len(s.inputs[0].Blocks) != 1 || s.inputs[0].Blocks[0].At != g.Steps.From {
			return State{}, fmt.Errorf("%w: want one block of the last operator", ErrEvidence)
		}
		return digestStep(g.Steps.Before, s.inputs[0].Blocks[0].Data, g.Steps.From, h.Size()), nil
	}
	e, kind, err := g.element(rules)
	if err != nil {
		return State{}, err
	}
	s, err := v.open(e, g.Before, g.Model)
	if err != nil {
		return State{}, err
	}
	after := stateOf(kind.Step(e, g.Steps.From, g.Steps.Before.number(), s))
	if s.missed {
		return State{}, fmt.Errorf("%w: a number is not shown", ErrEvidence)
	}
	return after, nil
}
