package coordinator

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/chance"
	"github.com/essaim/essaim/coordinator/known"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/seal"
)

// maxCandidates is how many miners a quote names: enough to lose two without asking
// the client again, few enough that a prompt is not sealed to half the network.
const maxCandidates = 3

// quality is a miner's measured success ratio.
type quality struct {
	receiptlog.Quality
	changed bool // since it was last stored
}

const (
	qualityDecay = 0.95 // about the last twenty attempts count
	qualityFloor = 0.02 // a miner with only failures still gets a chance to show better
)

func (q *quality) note(ok bool) {
	q.Good, q.All, q.changed = q.Good*qualityDecay, q.All*qualityDecay+1, true
	if ok {
		q.Good++
	}
}

// ratio starts at 1 for a miner that nobody has seen.
func (q *quality) ratio() float64 { return max(qualityFloor, (q.Good+1)/(q.All+1)) }

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
		info, ok := m.models[r.Model]
		if !ok {
			continue
		}
		if err := fits(info, r); err != nil {
			unfit = err
		} else if err := c.eligible(m, known.Price(info, r.Units)); err != nil {
			unfit = cmp.Or(unfit, err)
		} else if m.idle() {
			idle = append(idle, m)
		} else {
			busy = append(busy, m)
		}
	}
	picked := c.candidates(r.Model, idle, busy)
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

// fits checks the shape that a quote is asked for.
func fits(info essaim.ModelInfo, r essaim.QuoteRequest) error {
	size := fmt.Sprintf("%dx%d", r.Width, r.Height)
	switch {
	case r.Kind != "" && r.Kind != info.Kind:
		return essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("ask for kind %q", info.Kind), "model %s does not make %q", info.Name, r.Kind)
	case r.Width|r.Height != 0 && len(info.Sizes) > 0 && !slices.Contains(info.Sizes, size):
		return essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("sizes: %v", info.Sizes), "model %s cannot draw %s", info.Name, size)
	case r.Steps != 0 && (int(r.Steps) < info.MinSteps || int(r.Steps) > info.MaxSteps):
		return essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("%d to %d steps", info.MinSteps, info.MaxSteps), "model %s does not take %d steps", info.Name, r.Steps)
	}
	return nil
}

// candidates draws those that a quote names. c.mu is held.
func (c *Coordinator) candidates(model essaim.Digest, idle, busy []*miner) []*miner {
	within, beyond := c.withinShare(model, idle)
	var out []*miner
	for _, class := range [][]*miner{within, beyond, busy} {
		out = append(out, c.draw(class, maxCandidates-len(out))...)
	}
	return out
}

// weight is what a miner's chance is in proportion to. c.mu is held.
func (c *Coordinator) weight(m *miner) float64 {
	return float64(m.actor.Stake) * c.measure(m.key).ratio()
}

// draw takes up to n miners at random without replacement, each time in proportion to
// their weights. c.mu is held.
func (c *Coordinator) draw(from []*miner, n int) []*miner {
	from = slices.Clone(from)
	var out []*miner
	for len(out) < n && len(from) > 0 {
		weights := make([]float64, len(from))
		for i, m := range from {
			weights[i] = c.weight(m)
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
		weights[i] = c.weight(m)
		all += weights[i]
	}
	for _, m := range c.rivals(j.task.Model, len(within) > 0, room) {
		all += c.weight(m)
	}
	if len(room) <= maxCandidates {
		weights = chance.First(weights, all)
	}
	return room[chance.Spin(weights)]
}

// rivals lists the miners that a quote would have drawn from besides those: the ones with
// room, within their share or beyond it. c.mu is held.
func (c *Coordinator) rivals(model essaim.Digest, within bool, besides []*miner) []*miner {
	var idle []*miner
	for _, m := range c.miners {
		if info, ok := m.models[model]; ok && m.idle() && c.eligible(m, info.UnitPrice) == nil && !slices.Contains(besides, m) {
			idle = append(idle, m)
		}
	}
	in, beyond := c.withinShare(model, idle)
	if within {
		return in
	}
	return beyond
}

// able lists the connected miners that can do a job: they run the model at its price,
// the input is sealed to them, and they have not failed at it. c.mu is held.
func (c *Coordinator) able(j *job) []*miner {
	var out []*miner
	for _, m := range c.miners {
		info, ok := m.models[j.task.Model]
		if !ok || info.Kind != j.task.Kind || !j.only.IsZero() && j.only != m.key || j.tried[m.key] || j.broken[m] || m.ctx.Err() != nil || !seal.IsRecipient(j.input, m.actor.HPKEKey) {
			continue
		}
		if price, ok := info.UnitPrice.Mul(j.task.Units()); ok && c.rounds.Free(j.task, j.digest, m.actor.Owner) && price <= j.task.MaxPrice && c.eligible(m, price) == nil {
			out = append(out, m)
		}
	}
	return out
}

// queue holds the jobs that wait for a miner with room: first come first served
// inside a session, and the sessions take turns.
type queue struct {
	turns   []essaim.SessionID // sessions with waiting jobs; the first is next
	waiting map[essaim.SessionID][]*waiter
}

type waiter struct {
	job *job
	got chan *miner // receives the miner; holds one
}

func newQueue() queue { return queue{waiting: map[essaim.SessionID][]*waiter{}} }

func (q *queue) add(w *waiter) {
	s := w.job.task.Session
	if len(q.waiting[s]) == 0 {
		q.turns = append(q.turns, s)
	}
	q.waiting[s] = append(q.waiting[s], w)
}

func (q *queue) remove(w *waiter) {
	s := w.job.task.Session
	q.waiting[s] = slices.DeleteFunc(q.waiting[s], func(o *waiter) bool { return o == w })
	if len(q.waiting[s]) == 0 {
		delete(q.waiting, s)
		q.turns = slices.DeleteFunc(q.turns, func(o essaim.SessionID) bool { return o == s })
	}
}

// serveQueue gives miners with room to waiting jobs. c.mu is held.
func (c *Coordinator) serveQueue() {
	for given := true; given && c.anyIdle(); {
		given = false
		for _, s := range slices.Clone(c.queue.turns) {
			w, m := c.firstServable(s)
			if w == nil {
				continue
			}
			given = true
			c.give(m, w.job)
			w.got <- m
			c.queue.remove(w)
			if len(c.queue.waiting[s]) > 0 { // to the end of the turns
				c.queue.turns = append(slices.DeleteFunc(c.queue.turns, func(o essaim.SessionID) bool { return o == s }), s)
			}
		}
	}
}

func (c *Coordinator) anyIdle() bool {
	for _, m := range c.miners {
		if m.idle() {
			return true
		}
	}
	return false
}

func (c *Coordinator) firstServable(s essaim.SessionID) (*waiter, *miner) {
	for _, w := range c.queue.waiting[s] {
		idle := slices.DeleteFunc(c.able(w.job), func(m *miner) bool { return !m.idle() })
		if m := c.choose(w.job, idle); m != nil {
			return w, m
		}
	}
	return nil, nil
}

// acquire waits until a miner has room for the job and takes a place on it.
//
// Errors: CodeUnavailable if no connected miner can do it; while one that was lost
// may come back, that is decided after Config.Rejoin.
func (c *Coordinator) acquire(ctx context.Context, j *job) (*miner, error) {
	w := &waiter{job: j, got: make(chan *miner, 1)}
	c.mu.Lock()
	c.queue.add(w)
	c.serveQueue()
	c.mu.Unlock()
	look := time.NewTicker(c.cfg.Rejoin)
	defer look.Stop()
	for patient := j.lost > 0; ; patient = false {
		c.mu.Lock()
		hopeless := !patient && len(w.got) == 0 && len(c.able(j)) == 0
		if hopeless {
			c.queue.remove(w)
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
			c.queue.remove(w)
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
func (c *Coordinator) judge(m *miner, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measure(m.key).note(ok)
}

// measure is what is known of a miner's quality. c.mu is held.
func (c *Coordinator) measure(k essaim.NodeKey) *quality {
	q := c.quality[k]
	if q == nil {
		q = new(quality)
		c.quality[k] = q
	}
	return q
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
