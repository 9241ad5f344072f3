package receipts

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/receipts/sumtree"
)

// Put stores a blob and returns its digest.
type Put func(ctx context.Context, b []byte) (essaim.Digest, error)

// together is how many signatures are checked at once: a seventh cheaper each than 256, with some 4 MB.
const together = 2048

// Sum adds a session's receipts up and stores the set. The leaves come in the order of the
// tree, which is that of the settlement's lines and inside a line that of the tasks' numbers:
// by miner, model, number. Without a receipt there is no set. The settlement is a pure
// function of the receipts.
//
// Errors: CodeRefused or CodeBadInput for a task or receipt that is not signed;
// CodeInternal for leaves out of order; otherwise those of leaves and put.
func Sum(ctx context.Context, put Put, chainID string, id essaim.SessionID, leaves iter.Seq2[essaim.ReceiptFile, error]) (essaim.Settlement, error) {
	return addUp(ctx, put, chainID, id, leaves, false)
}

// SumChecked is Sum of leaves whose signatures the caller has checked before.
//
// Errors: those of Sum.
func SumChecked(ctx context.Context, put Put, chainID string, id essaim.SessionID, leaves iter.Seq2[essaim.ReceiptFile, error]) (essaim.Settlement, error) {
	return addUp(ctx, put, chainID, id, leaves, true)
}

func addUp(ctx context.Context, put Put, chainID string, id essaim.SessionID, leaves iter.Seq2[essaim.ReceiptFile, error], checked bool) (essaim.Settlement, error) {
	w := writer{ctx: ctx, put: put, settlement: essaim.Settlement{ChainID: chainID, Session: id}}
	var last essaim.Receipt
	var checks []essaim.Signature
	check := func() error {
		defer func() { checks = checks[:0] }()
		return errors.Join(essaim.CheckSignatures(checks)...)
	}
	for f, err := range leaves {
		if err != nil {
			return w.settlement, err
		}
		_, task, err := essaim.ReadTask(f.Task)
		if err != nil {
			return w.settlement, fmt.Errorf("session %s: %w", id, err)
		}
		r, receipt, err := essaim.ReadReceipt(f.Receipt)
		if err != nil {
			return w.settlement, fmt.Errorf("session %s: %w", id, err)
		}
		if w.count > 0 && Compare(last, r) >= 0 {
			return w.settlement, essaim.Errorf(essaim.CodeInternal, "", "session %s: receipt %d is out of order", id, w.count+1)
		}
		last = r
		if !checked {
			checks = append(checks, task, receipt)
		}
		if len(checks) >= together {
			if err := check(); err != nil {
				return w.settlement, fmt.Errorf("session %s: %w", id, err)
			}
		}
		if err := w.add(Leaf{f.Task, f.Receipt, r.Price}, r); err != nil {
			return w.settlement, fmt.Errorf("session %s: %w", id, err)
		}
	}
	if err := check(); err != nil {
		return w.settlement, fmt.Errorf("session %s: %w", id, err)
	}
	if err := w.finish(); err != nil {
		return w.settlement, fmt.Errorf("session %s: %w", id, err)
	}
	return w.settlement, nil
}

// Compare is the order of the tree.
func Compare(a, b essaim.Receipt) int {
	return cmp.Or(bytes.Compare(a.Miner[:], b.Miner[:]), bytes.Compare(a.Model[:], b.Model[:]), cmp.Compare(a.Seq, b.Seq))
}

// writer builds settlement and set of leaves as they are: whether they are true is not
// its matter.
type writer struct {
	ctx        context.Context
	put        Put
	settlement essaim.Settlement
	index      Index
	part       Part
	subtree    sumtree.Builder
	tags       []byte
	count      int
	sum        essaim.Amount
}

func (w *writer) add(l Leaf, paid essaim.Receipt) error {
	sum, ok := w.sum.Add(l.Amount)
	if !ok {
		return essaim.Errorf(essaim.CodeBadInput, "no honest session costs as much", "the prices overflow at receipt %d", w.count+1)
	}
	w.sum = sum
	node := l.node()
	if err := w.subtree.Add(node); err != nil {
		return err
	}
	w.part.Leaves, w.tags = append(w.part.Leaves, l), append(w.tags, node.Receipt[:tagSize]...)
	lines := w.settlement.Lines
	if n := len(lines); n == 0 || lines[n-1].Miner != paid.Miner || lines[n-1].Model != paid.Model {
		lines = append(lines, essaim.Line{Miner: paid.Miner, Model: paid.Model})
	}
	line := &lines[len(lines)-1]
	line.Amount += l.Amount // at most the sum
	line.Tasks++
	w.settlement.Lines = lines
	if w.count++; w.count%PartLeaves == 0 {
		return w.endPart()
	}
	return nil
}

func (w *writer) endPart() error {
	root, err := w.subtree.Root()
	if err != nil {
		return err
	}
	w.part.Kind, w.part.ChainID, w.part.Session = kindPart, w.settlement.ChainID, w.settlement.Session
	b, err := encMode.Marshal(w.part)
	if err != nil {
		return err
	}
	d, err := w.put(w.ctx, b)
	if err != nil {
		return fmt.Errorf("store part %d: %w", len(w.index.Parts)+1, err)
	}
	w.index.Parts = append(w.index.Parts, Entry{Blob: d, Root: root, First: essaim.DigestOf(w.part.Leaves[0].Receipt), Tags: w.tags})
	w.part.Leaves, w.tags, w.subtree = w.part.Leaves[:0], nil, sumtree.Builder{}
	return nil
}

func (w *writer) finish() error {
	if w.count == 0 {
		return nil
	}
	if len(w.part.Leaves) > 0 {
		if err := w.endPart(); err != nil {
			return err
		}
	}
	tree, err := sumtree.Over(roots(w.index.Parts))
	if err != nil {
		return err
	}
	w.settlement.Root = tree.Root()
	w.index.Kind, w.index.ChainID, w.index.Session = kindIndex, w.settlement.ChainID, w.settlement.Session
	b, err := encMode.Marshal(w.index)
	if err != nil {
		return err
	}
	if w.settlement.Receipts, err = w.put(w.ctx, b); err != nil {
		return fmt.Errorf("store index: %w", err)
	}
	return nil
}

func roots(parts []Entry) []essaim.SumRoot {
	out := make([]essaim.SumRoot, len(parts))
	for i, e := range parts {
		out[i] = e.Root
	}
	return out
}
