package session

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/standing"
)

// Tasks is essaim task.
func Tasks(c *Shell) *cobra.Command {
	cmd := &cobra.Command{Use: "task", Short: "See how a task stands, and take it back"}
	cmd.AddCommand(newTaskShow(c), newTaskCancel(c))
	return cmd
}

func taskDigest(s string) (essaim.Digest, error) {
	d, err := essaim.ParseDigest(s)
	if err != nil {
		return d, essaim.Errorf(essaim.CodeBadInput, "a task's digest has 64 hex digits; its receipt shows it", "%.80q is no task", s)
	}
	return d, nil
}

func (c *Shell) gateway() (*client.HTTP, error) {
	url := c.Gateway()
	if url == "" {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "start one with `essaim up`, or give --gateway", "no network runs here")
	}
	return client.Dial(url)
}

func newTaskShow(c *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "show DIGEST", Short: "Say where a task is in the queue, when it may be done, and who does not do it and why", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			task, err := taskDigest(args[0])
			if err != nil {
				return err
			}
			api, err := c.gateway()
			if err != nil {
				return err
			}
			record, err := api.Task(cmd.Context(), task)
			if err != nil {
				return err
			}
			var stands *standing.Standing
			if !record.State.Final() && record.State != essaim.TaskDelivered {
				s, err := api.Standing(cmd.Context(), task)
				switch {
				case err == nil:
					stands = &s
				case essaim.CodeOf(err) != essaim.CodeNotFound: // it has ended meanwhile
					return err
				}
			}
			if c.JSON() {
				return term.JSON(c.Stdout, map[string]any{"task": record, "standing": stands})
			}
			return c.tellTask(record, stands)
		},
	}
}

func (c *Shell) tellTask(r essaim.TaskRecord, s *standing.Standing) error {
	rows := [][2]string{{"task", r.Digest.String()}, {"session", fmt.Sprintf("%s, number %d", r.Session, r.Seq)}, {"state", string(r.State)}}
	add := func(name, format string, args ...any) {
		rows = append(rows, [2]string{name, fmt.Sprintf(format, args...)})
	}
	if r.Reason != "" {
		add("reason", "%s", r.Reason)
	}
	if r.Attempts > 0 {
		add("attempts", "%d, the last by miner %s", r.Attempts, r.Miner.Short())
	}
	if r.Price > 0 {
		add("price", "%s", r.Price)
	}
	if s == nil {
		return printRows(c, rows)
	}
	if s.Place > 0 {
		add("place", "%d of %d that wait for the model", s.Place, s.Waiting)
	}
	if s.ETA.IsZero() {
		add("done in", "nobody knows: the model has done nothing yet")
	} else {
		add("done in", "about %s", max(0, time.Until(s.ETA)).Round(100*time.Millisecond))
	}
	for _, w := range s.WhyNot {
		add("not by", "%s: %s", w.Miner.Short(), w.Why)
	}
	if s.Others > 0 {
		add("others", "%d connected miners do not run the model", s.Others)
	}
	return printRows(c, rows)
}

func newTaskCancel(c *Shell) *cobra.Command {
	var from, file string
	cmd := &cobra.Command{
		Use: "cancel DIGEST --session FILE", Short: "Take a task back that was not delivered; nothing is charged", Args: cobra.ExactArgs(1),
		Long: `Takes a task back with the key of its session, which ` + "`essaim session open`" + ` has kept in FILE.
A task of an API key's user is cancelled by POST /essaim/v1/jobs/ID/cancel.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			task, err := taskDigest(args[0])
			if err != nil {
				return err
			}
			b, err := os.ReadFile(file)
			if err != nil {
				return essaim.Errorf(essaim.CodeNotFound, "name the file that `essaim session open` wrote with --session", "read session: %w", err)
			}
			cfg, err := c.network(cmd.Context(), from)
			if err != nil {
				return err
			}
			s, err := client.Restore(cmd.Context(), cfg, b)
			if err != nil {
				return err
			}
			if err := s.Cancel(cmd.Context(), task); err != nil {
				return err
			}
			if c.JSON() {
				return term.JSON(c.Stdout, map[string]any{"task": task, "cancelled": true})
			}
			_, err = fmt.Fprintf(c.Stdout, "task %s was cancelled; nothing was charged\n", task.Short())
			return err
		},
	}
	c.From(cmd, &from, "account key that has opened the session")
	cmd.Flags().StringVar(&file, "session", "", "the session's file")
	return cmd
}
