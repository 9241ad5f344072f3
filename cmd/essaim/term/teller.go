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

// Teller tells a story in chapters, and checks what it claims.
type Teller struct {
	Out io.Writer
	No  func(error) error // the answer is no: the program ends with 1
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
		if err := c.Tell(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.Out, "\nEvery line marked ok was checked on the way (%.0f s).\n", time.Since(began).Seconds())
	return nil
}

// Say tells.
func (t *Teller) Say(format string, args ...any) { t.print("      ", fmt.Sprintf(format, args...)) }

// OK tells a claim that was checked, or ends the story.
func (t *Teller) OK(holds bool, format string, args ...any) error {
	claim := fmt.Sprintf(format, args...)
	if !holds {
		t.print("  NO  ", claim)
		return t.No(essaim.Errorf(essaim.CodeInternal, "this is a fault of the program: please report it", "the story does not hold: %s", claim))
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
