// Package doctor is `essaim doctor`: it looks at what a home, a machine and the network around it
// need, and says in one line each what is well, what is not, and what to do about it.
//
// It looks only. What it writes for a measurement it removes, and it must not mend, register or
// send anything.
package doctor

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/settings"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/engine/all"
)

// Status is how well something is.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn" // works, and may not tomorrow
	Fail Status = "fail" // does not work
)

// Finding is one line of the report.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	What   string `json:"what"`
	Do     string `json:"do,omitempty"` // what to do about it
}

// Shell is what the command needs of the program around it.
type Shell struct {
	Stdout   io.Writer
	JSON     func() bool
	Home     func() string
	User     func() string // the key that is meant unless another is named
	Gateway  func() string // that somebody has named; "": that of the network in the home
	Settings func() error  // reads the home's settings
	Strange  func() []settings.Stranger
	Version  string

	No    func(error) error // the answer is no: the program ends with 1
	Shown func(error) error // stdout has told the error already

	Now     func() time.Time
	Space   func(dir string) (uint64, error) // free bytes on a folder's disk
	Flush   func(dir string) (time.Duration, error)
	Engines func(context.Context) []all.Found
	Ports   []int // that `essaim up` takes
}

// Command is `essaim doctor`.
func Command(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look at home, keys, disk, ports, clock, engines and network",
		Long: `Says what is well and what is not, a line each, and what to do about it. It looks only,
and changes nothing. Exit code 1 if something fails; a warning is none.`,
		Example: `  essaim doctor
  essaim doctor --json | jq '.findings[] | select(.status != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), limit)
			defer cancel()
			return s.tell(s.Examine(ctx))
		},
	}
}

// limit is how long it may all take; dialTime how long a part of the network may take to answer.
const (
	limit    = time.Minute
	dialTime = 5 * time.Second
)

// Examine looks at everything.
func (s *Shell) Examine(ctx context.Context) []Finding {
	var r report
	s.settings(&r)
	net := s.home(&r)
	s.keys(&r)
	s.nodes(&r)
	s.disk(&r)
	runs := s.network(ctx, &r, net)
	s.ports(&r, runs)
	s.engines(ctx, &r)
	return r
}

// report gathers findings.
type report []Finding

func (r *report) ok(check, format string, args ...any) {
	*r = append(*r, Finding{check, OK, fmt.Sprintf(format, args...), ""})
}

func (r *report) warn(check, do, format string, args ...any) {
	*r = append(*r, Finding{check, Warn, fmt.Sprintf(format, args...), do})
}

func (r *report) fail(check, do, format string, args ...any) {
	*r = append(*r, Finding{check, Fail, fmt.Sprintf(format, args...), do})
}

// wrong is a failure that says itself what to do.
func (r *report) wrong(check string, err error, do string) {
	if hint := essaim.HintOf(err); hint != "" {
		do = hint
	}
	r.fail(check, do, "%v", err)
}

func (s *Shell) tell(list []Finding) error {
	count := map[Status]int{}
	for _, f := range list {
		count[f.Status]++
	}
	var err error
	if n := count[Fail]; n > 0 {
		err = s.No(essaim.Errorf(essaim.CodeUnavailable, "do what the lines say", "%d of %d checks failed", n, len(list)))
	}
	if s.JSON() {
		if e := term.JSON(s.Stdout, map[string]any{"findings": list, "failed": count[Fail], "warnings": count[Warn], "version": s.Version}); e != nil || err == nil {
			return e
		}
		return s.Shown(err)
	}
	for _, f := range list {
		for i, line := range term.Wrap(f.What, term.Width-17) {
			mark, check := string(f.Status), f.Check
			if i > 0 {
				mark, check = "", ""
			}
			fmt.Fprintf(s.Stdout, "%-4s  %-10s %s\n", mark, check, line)
		}
		if f.Do != "" {
			for _, line := range term.Wrap("→ "+f.Do, term.Width-17) {
				fmt.Fprintf(s.Stdout, "%17s%s\n", "", line)
			}
		}
	}
	return err
}

// clock compares this machine's with what others say the time is. A ledger's blocks carry the
// median of what its validators' clocks said one block before.
func (s *Shell) clock(r *report, who string, theirs time.Time, slack time.Duration) {
	off := s.Now().Sub(theirs)
	switch late := off.Abs() - slack; {
	case late > 30*time.Second:
		r.fail("clock", "set the clock, best by NTP (`timedatectl set-ntp true`); if others agree with it, the ledger stands still", "%s behind or ahead of %s: deadlines are missed", off.Abs().Round(time.Second), who)
	case late > 5*time.Second:
		r.warn("clock", "set the clock, best by NTP (`timedatectl set-ntp true`)", "%s behind or ahead of %s", off.Abs().Round(time.Second), who)
	default:
		r.ok("clock", "agrees with %s to %s", who, (max(late, 0) + time.Second).Round(time.Second))
	}
}

// ledger asks the ledger where it stands.
func (s *Shell) ledger(ctx context.Context, r *report, url, chainID string) {
	chain, err := chainclient.Dial(url)
	if err != nil {
		r.wrong("ledger", err, "ask the gateway's operator")
		return
	}
	status, err := chain.Status(ctx)
	switch {
	case err != nil:
		r.wrong("ledger", err, "is its node up, and may you reach it?")
		return
	case chainID != "" && status.ChainID != chainID:
		r.fail("ledger", "ask the gateway's operator", "it is chain %s, and the gateway works on %s", status.ChainID, chainID)
	case status.CatchingUp:
		r.warn("ledger", "wait until it is there", "its node is still catching up, at height %d", status.Height)
	default:
		r.ok("ledger", "%s at height %d", status.ChainID, status.Height)
	}
	pace, err := chain.BlockTime(ctx)
	if err == nil && status.Height > 0 && !status.CatchingUp {
		s.clock(r, "the ledger's newest block", status.Time, 3*pace)
	}
}
