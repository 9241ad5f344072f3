package mining

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/node"
)

const (
	redraw  = 500 * time.Millisecond
	lineGap = time.Minute // between lines when nothing changes and there is no dashboard
)

// show tells how the miner is doing until life ends: on a terminal in place, else in lines.
// stop ends when the miner is told to.
func (s *Shell) show(stop, life context.Context, n *node.Node, o options) {
	if s.JSON() { // the plan was the one object
		<-life.Done()
		return
	}
	began := time.Now()
	live := !o.plain && terminal(s.Stdout)
	fmt.Fprintf(s.Stdout, "miner %s dials out\n", short(n.ID()))
	if o.page != "" {
		fmt.Fprintf(s.Stdout, "earnings and work, for a browser on this machine: http://%s\n", o.page)
	}
	select {
	case <-n.Ready():
	case <-life.Done():
		return
	}
	m := n.Miner()
	if live && terminal(s.Stdin) {
		go s.listen(m)
	}
	d := dashboard{s: s, live: live, began: began, id: short(n.ID())}
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	told := stop.Done()
	for {
		d.draw(m.Look(life))
		select {
		case <-tick.C:
		case <-told:
			told = nil // it is said once
			if !live {
				fmt.Fprintln(s.Stdout, "stopping: what is under way is finished first; Ctrl-C again drops it")
			}
		case <-life.Done():
			d.draw(m.Look(context.WithoutCancel(life)))
			return
		}
	}
}

func short(id string) string { return id[:min(len(id), 8)] }

// listen toggles maintenance for who types m. It ends with the program.
func (s *Shell) listen(m *miner.Miner) {
	lines := bufio.NewScanner(s.Stdin)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "m" {
			_ = m.Toggle(context.Background()) // what it is now is on the screen
		}
	}
}

// dashboard is what is on the screen. It belongs to one goroutine.
type dashboard struct {
	s     *Shell
	live  bool
	began time.Time
	id    string
	lines int       // drawn last
	said  string    // without a terminal: the last line
	at    time.Time // when
}

func (d *dashboard) draw(l miner.Look) {
	if !d.live {
		d.say(l)
		return
	}
	lines := d.render(l, time.Now())
	var b strings.Builder
	if d.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", d.lines)
	}
	for _, line := range lines {
		b.WriteString("\x1b[2K" + term.Clip(line, term.Width) + "\n")
	}
	b.WriteString("\x1b[J")
	d.lines = len(lines)
	fmt.Fprint(d.s.Stdout, b.String())
}

func (d *dashboard) render(l miner.Look, now time.Time) []string {
	up := now.Sub(d.began).Round(time.Second)
	state := "serving"
	switch {
	case l.Draining:
		state = "stopping"
	case l.Paused:
		state = "maintenance"
	case l.Connected == 0:
		state = "dialling"
	}
	out := []string{
		fmt.Sprintf("miner %s  %s  up %s  coordinators %d  models %d", d.id, state, up, l.Connected, l.Models),
		fmt.Sprintf("jobs     %d of %d running, %d paid for, %d refused, %d failed", len(l.Jobs), l.Capacity, l.Acked, l.Refused, l.Failed),
		fmt.Sprintf("earned   %s AIM this run, %s AIM an hour, before royalty and fees", term.Coins(l.Earned), term.Coins(perHour(l.Earned, up))),
		fmt.Sprintf("record   %s of attempts were paid for; promises not kept: %d", ratio(l), l.Unpaid),
	}
	for _, j := range l.Jobs {
		steps := ""
		if j.Steps > 0 {
			steps = fmt.Sprintf("step %d of %d", j.Step, j.Steps)
		}
		out = append(out, fmt.Sprintf("  %s  %-24s %-14s %6.1fs  up to %s AIM", j.Task.Short(), term.Clip(j.Model, 24), steps, now.Sub(j.Since).Seconds(), term.Coins(j.Price)))
	}
	if l.Idle != "" {
		out = append(out, "idle     "+l.Idle)
	}
	return append(out, "m Enter: maintenance   Ctrl-C: finish and stop")
}

// say prints a line when something has changed, and now and then.
func (d *dashboard) say(l miner.Look) {
	line := fmt.Sprintf("running=%d/%d coordinators=%d paid=%d refused=%d failed=%d earned=%sAIM", len(l.Jobs), l.Capacity, l.Connected, l.Acked, l.Refused, l.Failed, term.Coins(l.Earned))
	if l.Idle != "" {
		line += " idle=" + fmt.Sprintf("%q", l.Idle)
	}
	if line == d.said && time.Since(d.at) < lineGap {
		return
	}
	d.said, d.at = line, time.Now()
	fmt.Fprintln(d.s.Stdout, d.at.UTC().Format("15:04:05"), line)
}

func perHour(a essaim.Amount, up time.Duration) essaim.Amount {
	if up < time.Second {
		return 0
	}
	return essaim.Amount(float64(a) / up.Hours())
}

func ratio(l miner.Look) string {
	all := l.Acked + l.Refused + l.Failed
	if all == 0 {
		return "none yet"
	}
	return fmt.Sprintf("%.0f%%", 100*float64(l.Acked)/float64(all))
}
