package node

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/miner/income"
	"github.com/essaim/essaim/web"
)

// ServeOwn serves the page for the owner of miners that run in this process, until ctx ends, on
// a listener that Here has made, and closes that.
func ServeOwn(ctx context.Context, l net.Listener, miners ...*Node) error {
	return serve(ctx, l, web.NewOwn(owner(miners), miners[0].opt.Logger))
}

// owner is who runs miners here.
type owner []*Node

func (o owner) Look(ctx context.Context) []web.Own {
	var out []web.Own
	for _, n := range o {
		out = append(out, n.own(ctx))
	}
	return out
}

// own tells how a miner does, whether it is connected yet or not.
func (n *Node) own(ctx context.Context) web.Own {
	o := web.Own{Miner: n.key, Dir: n.cfg.Dir, State: "dialling", Since: n.began, Capacity: n.cfg.Miner.Capacity, Jobs: []web.OwnJob{}}
	select {
	case <-n.ready:
	default:
		return o
	}
	l := n.miner.Look(ctx)
	switch {
	case l.Draining:
		o.State = "stopping"
	case l.Paused:
		o.State = "maintenance"
	case l.Connected > 0:
		o.State = "serving"
	}
	o.Idle, o.Connected, o.Models, o.Capacity = l.Idle, l.Connected, l.Models, l.Capacity
	o.Acked, o.Refused, o.Failed, o.Unpaid, o.Earned = l.Acked, l.Refused, l.Failed, l.Unpaid, l.Earned
	for _, j := range l.Jobs {
		o.Jobs = append(o.Jobs, web.OwnJob{Task: j.Task, Model: j.Model, Price: j.Price, Step: j.Step, Steps: j.Steps, Since: j.Since})
	}
	return o
}

func (o owner) find(k essaim.NodeKey) (*Node, error) {
	i := slices.IndexFunc(o, func(n *Node) bool { return n.key == k })
	if i < 0 {
		return nil, essaim.Errorf(essaim.CodeNotFound, "the page's first list has all that run here", "miner %s does not run here", k.Short())
	}
	return o[i], nil
}

func (o owner) Books(ctx context.Context, k essaim.NodeKey) (out web.OwnBooks, err error) {
	n, err := o.find(k)
	if err != nil {
		return out, err
	}
	chain, err := n.ledger()
	if err != nil {
		return out, err
	}
	book, err := miner.OpenBook(filepath.Join(n.cfg.Dir, ReceiptsFile))
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	out.Limit = n.cfg.Miner.MaxUnacknowledged
	if out.Limit == 0 {
		out.Limit = miner.DefaultUnacked
	}
	out.Earnings, err = income.Of(ctx, payments{chain}, k, book.Earned)
	if err != nil {
		return out, err
	}
	if s, err := chain.Standing(ctx, k); err == nil {
		out.Standing = s
	} else if essaim.CodeOf(err) != essaim.CodeNotFound {
		return out, err
	}
	if out.Names, err = chain.Models(ctx); err != nil {
		return out, err
	}
	settings, err := toml.Marshal(n.cfg)
	out.Settings = string(settings)
	return out, err
}

func (o owner) Toggle(ctx context.Context, k essaim.NodeKey) error {
	n, err := o.find(k)
	if err != nil {
		return err
	}
	select {
	case <-n.ready:
		return n.miner.Toggle(ctx)
	default:
		return essaim.Errorf(essaim.CodeUnavailable, "wait until a coordinator has answered", "miner %s is not connected yet", k.Short())
	}
}
