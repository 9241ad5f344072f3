package receipts

import (
	"context"
	"fmt"
	"slices"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/receipts/sumtree"
)

// Opener shows leaves of a settled session with their paths to the root: to answer the
// beacon, or to prove that one is false. It is not safe for concurrent use.
type Opener struct {
	fetch Fetch
	index Index
	upper *sumtree.Tree

	at    int // the part that is in leaves; -1: none
	part  Part
	lower *sumtree.Tree
}

// Open reads the index of a set.
//
// Errors: those of fetch; CodeBadInput for what is no index, or overflows.
func Open(ctx context.Context, fetch Fetch, set essaim.Digest) (*Opener, error) {
	b, err := fetch(ctx, set, essaim.Digest{})
	if err != nil {
		return nil, err
	}
	x, err := ReadIndex(b)
	if err != nil {
		return nil, err
	}
	upper, err := sumtree.Over(roots(x.Parts))
	return &Opener{fetch: fetch, index: x, upper: upper, at: -1}, err
}

// Root is the tree's root.
func (o *Opener) Root() essaim.SumRoot { return o.upper.Root() }

// At shows the leaf that covers a point of the sum.
//
// Errors: CodeBadInput if the point is not below the sum; those of fetch.
func (o *Opener) At(ctx context.Context, point essaim.Amount) (essaim.Opening, error) {
	if sum := o.Root().Sum(); point >= sum {
		return essaim.Opening{}, essaim.Errorf(essaim.CodeBadInput, "", "point %d of a sum of %d", point, sum)
	}
	for i, e := range o.index.Parts {
		if point >= e.Root.Sum() {
			point -= e.Root.Sum()
			continue
		}
		if err := o.load(ctx, i); err != nil {
			return essaim.Opening{}, err
		}
		return o.show(o.lower.Find(point)), nil
	}
	panic("receipts: the parts' sums are not the root's") // Over has added them
}

// Leaf shows the leaf at a position, from 0.
//
// Errors: CodeNotFound if there is none; those of fetch.
func (o *Opener) Leaf(ctx context.Context, position int) (essaim.Opening, error) {
	i, j := position/PartLeaves, position%PartLeaves
	if position < 0 || i >= len(o.index.Parts) {
		return essaim.Opening{}, essaim.Errorf(essaim.CodeNotFound, "", "no leaf %d", position)
	}
	if err := o.load(ctx, i); err != nil {
		return essaim.Opening{}, err
	}
	if j >= len(o.part.Leaves) {
		return essaim.Opening{}, essaim.Errorf(essaim.CodeNotFound, "", "no leaf %d", position)
	}
	return o.show(j), nil
}

// Receipt shows the leaves whose signed receipt has this digest, in the tree's order.
//
// Errors: those of fetch.
func (o *Opener) Receipt(ctx context.Context, signed essaim.Digest) (out []essaim.Opening, err error) {
	for i, e := range o.index.Parts {
		if !e.mayHave(signed) {
			continue
		}
		if err := o.load(ctx, i); err != nil {
			return nil, err
		}
		for j, l := range o.part.Leaves {
			if essaim.DigestOf(l.Receipt) == signed {
				out = append(out, o.show(j))
			}
		}
	}
	return out, nil
}

// load reads a part and holds it against the index.
func (o *Opener) load(ctx context.Context, i int) error {
	if o.at == i {
		return nil
	}
	e := o.index.Parts[i]
	b, err := o.fetch(ctx, e.Blob, e.First)
	if err != nil {
		return fmt.Errorf("part %d: %w", i+1, err)
	}
	p, err := ReadPart(b)
	if err != nil {
		return fmt.Errorf("part %d: %w", i+1, err)
	}
	lower, err := p.tree()
	if err != nil {
		return err
	}
	if lower.Root() != e.Root || len(p.Leaves) > PartLeaves || i+1 < len(o.index.Parts) && len(p.Leaves) < PartLeaves {
		return essaim.Errorf(essaim.CodeBadInput, "the set was damaged or never was one", "part %d is not what the index says", i+1)
	}
	o.at, o.part, o.lower = i, p, lower
	return nil
}

func (p Part) tree() (*sumtree.Tree, error) {
	return sumtree.Build(func(yield func(sumtree.Leaf) bool) {
		for _, l := range p.Leaves {
			if !yield(l.node()) {
				return
			}
		}
	})
}

// show is the j-th leaf of the part that is loaded.
func (o *Opener) show(j int) essaim.Opening {
	l := o.part.Leaves[j]
	return essaim.Opening{
		Task: l.Task, Receipt: l.Receipt, Amount: l.Amount, Index: uint64(o.at*PartLeaves + j),
		Siblings: slices.Concat(o.lower.Prove(j).Siblings, o.upper.Prove(o.at).Siblings),
	}
}
