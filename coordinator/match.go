package coordinator

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/chance"
	"github.com/essaim/essaim/coordinator/known"
	"github.com/essaim/essaim/coordinator/line"
	"github.com/essaim/essaim/coordinator/quality"
)

// maxCandidates is how many miners a quote names: enough to lose two without asking
// the client again, few enough that a prompt is not sealed to half the network.
const maxCandidates = 3

// Quote names the miners that may get a task and the most that it costs with any of
// them. Their chances are in proportion to stake × measured quality; those with room
// within their share of the model's tasks come first, then others with room, then those
// without.
//
// Errors: CodeUnavailable if no connected miner runs the model, CodeBadInput if those
// that do cannot make what is asked for.
func (c *Coordinator) Quote(ctx context.Context, r essaim.QuoteRequest) (essaim.Quote, error) {
	_, leave, err := c.enter(ctx)
	if err != nil {
		return essaim.Quote{}, err
	}
	defer leave()
	c.mu.Lock()
	defer c.mu.Unlock()
	var idle, busy []*miner
	unfit := error(nil)
	for _, m := range c.miners {
		info, ok := c.listed(m, r.Model)
		if !ok {
			continue
		}
		if err := known.Fits(info, r); err != nil {
			unfit = err
		} else if err := c.eligible(m, r.Model, known.Price(info, r.Units)); err != nil {
			unfit = cmp.Or(unfit, err)
		} else if m.idle() {
			idle = append(idle, m)
		} else {
			busy = append(busy, m)
		}
	}
	picked := c.candidates(r.Model, r.Conversation, idle, busy)
	if len(picked) == 0 {
		return essaim.Quote{}, cmp.Or(unfit, errNoMiner(r.Model))
	}
	q := essaim.Quote{Model: r.Model, Expires: time.Now().Add(c.cfg.QuoteTTL).UnixMilli()}
	for _, m := range picked {
		price := known.Price(m.models[r.Model], r.Units)
		q.MaxPrice = max(q.MaxPrice, price)
		q.Candidates = append(q.Candidates, essaim.Candidate{Miner: m.key, HPKEKey: bytes.Clone(m.actor.HPKEKey), Price: price})
	}
	return q, nil
}

func errNoMiner(model essaim.Digest) error {
	return essaim.Errorf(essaim.CodeUnavailable, "try again later, or ask for another model", "no connected miner runs model %s", model.Short())
}

// candidates draws those that a quote names, behind the one that has had the conversation last if that one has room.
// c.mu is held.
func (c *Coordinator) candidates(model essaim.Digest, conversation string, idle, busy []*miner) []*miner {
	var out []*miner
	if last := c.lastOf(conversation, idle); last != nil {
		out = append(out, last)
		idle = slices.DeleteFunc(idle, func(m *miner) bool { return m == last })
	}
	within, beyond := c.withinShare(model, idle)
	for _, class := range [][]*miner{within, beyond, busy} {
		out = append(out, c.draw(model, class, maxCandidates-len(out))...)
	}
	return out
}

// lastOf is the one of these that has had a conversation last; nil: none of them. c.mu is held.
func (c *Coordinator) lastOf(conversation string, from []*miner) *miner {
	if key, ok := c.warm.Of(conversation, time.Now()); ok {
		for _, m := range from {
			if m.key == key {
				return m
			}
		}
	}
	return nil
}

// weight is what a miner's chance is in proportion to. c.mu is held.
func (c *Coordinator) weight(m *miner, model essaim.Digest) float64 {
	return float64(m.actor.Stake) * c.quality.Factor(m.key, model)
}

// draw takes up to n miners at random without replacement, each time in proportion to
// their weights. c.mu is held.
func (c *Coordinator) draw(model essaim.Digest, from []*miner, n int) []*miner {
	from = slices.Clone(from)
	var out []*miner
	for len(out) < n && len(from) > 0 {
		weights := make([]float64, len(from))
		for i, m := range from {
			weights[i] = c.weight(m, model)
		}
		i := chance.Spin(weights)
		out = append(out, from[i])
		from = slices.Delete(from, i, i+1)
	}
	return out
}

// choose takes the miner that gets a job from those that have room for it. They are few,
// because the input is sealed to a quote's candidates only, who were drawn without
// replacement from all: drawing again by weight would give the large ones too much. So
// each gets the chance that it was the first of that draw, which is in proportion to
// weights over all miners. c.mu is held.
func (c *Coordinator) choose(j *job, room []*miner) *miner {
	if last := c.lastOf(j.conversation, room); last != nil {
		return last
	}
	within, beyond := c.withinShare(j.task.Model, room)
	if len(within) > 0 {
		room = within
	} else {
		room = beyond
	}
	if len(room) == 0 {
		return nil
	}
	weights, all := make([]float64, len(room)), 0.0
	for i, m := range room {
		weights[i] = c.weight(m, j.task.Model)
		all += weights[i]
	}
	for _, m := range c.rivals(j.task.Model, len(within) > 0, room) {
		all += c.weight(m, j.task.Model)
	}
	if len(room) <= maxCandidates {
		weights = chance.First(weights, all)
	}
	return room[chance.Spin(weights)]
}

// withinShare splits miners into those that could get one more of a model's tasks
// within their share, and the others. c.mu is held.
func (c *Coordinator) withinShare(model essaim.Digest, from []*miner) (within, beyond []*miner) {
	s := c.shares[model]
	for _, m := range from {
		if s.Allows(m.key) {
			within = append(within, m)
		} else {
			beyond = append(beyond, m)
		}
	}
	return within, beyond
}

// give hands a miner's place to a job. c.mu is held.
func (c *Coordinator) give(m *miner, j *job) {
	m.running++
	c.rounds.Sit(j.task, j.digest, m.key, m.actor.Owner)
	j.promised, _ = m.models[j.task.Model].UnitPrice.Mul(j.task.Units()) // able has checked it
	m.promised += j.promised
	s := c.shares[j.task.Model]
	if s == nil {
		s = new(chance.Shares)
		c.shares[j.task.Model] = s
	}
	s.Note(m.key)
}

// rivals lists the miners that a quote would have drawn from besides those: the ones with
// room, within their share or beyond it. c.mu is held.
func (c *Coordinator) rivals(model essaim.Digest, within bool, besides []*miner) []*miner {
	var idle []*miner
	for _, m := range c.miners {
		if info, ok := c.listed(m, model); ok && m.idle() && c.eligible(m, model, info.UnitPrice) == nil && !slices.Contains(besides, m) {
			idle = append(idle, m)
		}
	}
	in, beyond := c.withinShare(model, idle)
	if within {
		return in
	}
	return beyond
}

// listed is a model as a miner runs it, unless it was taken off its list. c.mu is held.
func (c *Coordinator) listed(m *miner, model essaim.Digest) (essaim.ModelInfo, bool) {
	info, ok := m.models[model]
	return info, ok && !c.cfg.Barred(m.key, model)
}

// able lists the connected miners that can do a job. c.mu is held.
func (c *Coordinator) able(j *job) []*miner {
	var out []*miner
	for _, m := range c.miners {
		if c.can(m, j) {
			out = append(out, m)
		}
	}
	return out
}

// can reports whether a connected miner can do a job: it runs the model at its price, the input is sealed to it, and
// it has not failed at it. c.mu is held.
func (c *Coordinator) can(m *miner, j *job) bool {
	info, ok := c.listed(m, j.task.Model)
	if !ok || info.Kind != j.task.Kind || !j.only.IsZero() && j.only != m.key || j.tried[m.key] || j.broken[m] || m.ctx.Err() != nil || !m.sealID.IsRecipient(j.input) {
		return false
	}
	price, ok := info.UnitPrice.Mul(j.task.Units())
	return ok && c.rounds.Free(j.task, j.digest, m.actor.Owner) && price <= j.task.MaxPrice && c.eligible(m, j.task.Model, price) == nil
}

// waiter is a job that waits for a miner with room.
type waiter struct {
	job *job
	who line.Who
	got chan *miner // receives the miner; holds one
}

// serveQueue gives miners with room to waiting jobs. c.mu is held.
func (c *Coordinator) serveQueue() {
	for c.queue.Len() > 0 {
		w, m := c.next()
		if w == nil {
			return
		}
		c.give(m, w.job)
		w.got <- m
		c.queue.Serve(w.who, w, &m.turns)
	}
}

// next is a job that waits, and the miner that takes it on: one of those whose next it is. c.mu is held.
func (c *Coordinator) next() (w *waiter, m *miner) {
	var room []*miner
	for _, m := range c.miners {
		if !m.idle() {
			continue
		}
		_, first, ok := c.queue.Next(&m.turns, func(w *waiter) bool { return c.can(m, w.job) })
		if ok && (w == nil || w == first) {
			w, room = first, append(room, m)
		}
	}
	if w == nil {
		return nil, nil
	}
	return w, c.choose(w.job, room)
}

// acquire waits until a miner has room for the job and takes a place on it.
//
// Errors: CodeUnavailable if no connected miner can do it; while one that was lost
// may come back, that is decided after Config.Rejoin.
func (c *Coordinator) acquire(ctx context.Context, j *job) (*miner, error) {
	w := &waiter{job: j, who: j.who, got: make(chan *miner, 1)}
	c.mu.Lock()
	c.queue.Add(w.who, w)
	j.waiter = w
	c.serveQueue()
	c.mu.Unlock()
	look := time.NewTicker(c.cfg.Rejoin)
	defer look.Stop()
	for patient := j.lost > 0; ; patient = false {
		c.mu.Lock()
		hopeless := !patient && len(w.got) == 0 && len(c.able(j)) == 0
		if hopeless {
			c.queue.Remove(w.who, w)
		}
		c.mu.Unlock()
		if hopeless {
			return nil, essaim.Errorf(essaim.CodeUnavailable, "ask for a new quote and try again", "none of the miners that the input is sealed to can do the task now")
		}
		select {
		case m := <-w.got:
			return m, nil
		case <-look.C:
		case <-ctx.Done():
			c.mu.Lock()
			c.queue.Remove(w.who, w)
			c.mu.Unlock()
			select {
			case m := <-w.got: // given in the same moment
				c.vacate(m, j)
			default:
			}
			return nil, context.Cause(ctx)
		}
	}
}

// vacate gives the place on a miner back that a job had.
func (c *Coordinator) vacate(m *miner, j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.running--
	m.promised -= j.promised
	c.serveQueue()
}

// judge notes how an attempt went.
func (c *Coordinator) judge(m *miner, j *job, r quality.Result, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quality.Note(m.key, j.task.Model, r, took, time.Now())
	if r == quality.Done {
		c.pace.Note(j.task.Model, took)
		c.warm.Note(j.conversation, m.key, time.Now())
	}
}

// onOffer lists the models that connected miners run, and counts the miners.
func (c *Coordinator) onOffer() ([]essaim.ModelInfo, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[essaim.Digest]essaim.ModelInfo{}
	for _, m := range c.miners {
		for d, info := range m.models {
			have, ok := found[d]
			if ok {
				info.UnitPrice = min(info.UnitPrice, have.UnitPrice)
			}
			info.Miners = have.Miners + 1
			found[d] = info
		}
	}
	out := make([]essaim.ModelInfo, 0, len(found))
	for _, info := range found {
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b essaim.ModelInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.Digest[:], b.Digest[:]))
	})
	return out, len(c.miners)
}
