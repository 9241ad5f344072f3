package term

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
)

// Teller tells a story in chapters, and checks what it claims. Make it with NewTeller.
type Teller struct {
	Out io.Writer         // for what is told in other words than Say's and OK's
	No  func(error) error // the answer is no: the program ends with 1

	object io.Writer // where the whole story goes as one JSON object; nil: it is told as it goes on
	told   []told
}

// told is a chapter for a program.
type told struct {
	Title  string   `json:"title"`
	Said   []string `json:"said"`
	Claims []string `json:"claims"` // each was checked
}

// NewTeller makes one that tells people, or a program that wants one JSON object.
func NewTeller(out io.Writer, asJSON bool, no func(error) error) Teller {
	if asJSON {
		return Teller{Out: io.Discard, No: no, object: out}
	}
	return Teller{Out: out, No: no}
}

// Chapter is a part of a story.
type Chapter struct {
	Title string
	Tell  func(context.Context) error
}

// Play tells the chapters until one does not hold.
func (t *Teller) Play(ctx context.Context, chapters ...Chapter) error {
	began := time.Now()
	for _, c := range chapters {
		fmt.Fprintf(t.Out, "\n%s\n", c.Title)
		t.told = append(t.told, told{c.Title, []string{}, []string{}})
		if err := c.Tell(ctx); err != nil {
			return err
		}
	}
	if t.object != nil {
		return JSON(t.object, map[string]any{"ok": true, "chapters": t.told, "elapsed_ms": time.Since(began).Milliseconds()})
	}
	fmt.Fprintf(t.Out, "\nEvery line marked ok was checked on the way (%.0f s).\n", time.Since(began).Seconds())
	return nil
}

// Say tells.
func (t *Teller) Say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if n := len(t.told); n > 0 {
		t.told[n-1].Said = append(t.told[n-1].Said, text)
	}
	t.print("      ", text)
}

// OK tells a claim that was checked, or ends the story.
func (t *Teller) OK(holds bool, format string, args ...any) error {
	claim := fmt.Sprintf(format, args...)
	if !holds {
		t.print("  NO  ", claim)
		return t.No(essaim.Errorf(essaim.CodeInternal, "this is a fault of the program: please report it", "the story does not hold: %s", claim))
	}
	if n := len(t.told); n > 0 {
		t.told[n-1].Claims = append(t.told[n-1].Claims, claim)
	}
	t.print("  ok  ", claim)
	return nil
}

// print keeps a text that fits as it is, and breaks a longer one.
func (t *Teller) print(mark, text string) {
	lines := []string{text}
	if utf8.RuneCountInString(mark+text) > Width {
		lines = Wrap(text, Width-len(mark))
	}
	for _, line := range lines {
		fmt.Fprintln(t.Out, strings.TrimRight(mark+line, " "))
		mark = strings.Repeat(" ", len(mark))
	}
}

// Until asks until the answer is yes.
func Until(ctx context.Context, yes func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := yes(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// StoryCommand makes the command that plays a story in a folder of its own, which is removed
// afterwards unless somebody wants to look at it. The caller says what it is for.
func StoryCommand(use string, limit time.Duration, play func(ctx context.Context, home string) error) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use: use, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := os.MkdirTemp("", "essaim-demo-")
			if err != nil {
				return err
			}
			if keep {
				fmt.Fprintf(cmd.ErrOrStderr(), "home: %s\n", home)
			} else {
				defer os.RemoveAll(home)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), limit)
			defer cancel()
			return play(ctx, home)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the network's folder")
	return cmd
}
