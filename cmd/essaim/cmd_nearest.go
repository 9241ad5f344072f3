package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/engine"
	textengine "github.com/essaim/essaim/engine/text"
)

func newNearestCommand(c *cli) *cobra.Command {
	var count int
	cmd := &cobra.Command{
		Use:   "nearest PHRASE",
		Short: "Find the emoji nearest to a phrase, in any of 19 languages, on this machine",
		Long: `Finds the concepts that the built-in text model takes for the nearest to PHRASE, with
their cosines, the nearest first. Languages: da de en es et fi fr hu it lt ms nb nl pl
pt ru sv uk vi. There is no network, and the answer is the same on every machine.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return nearest(c, args[0], count) },
	}
	cmd.Flags().IntVar(&count, "count", 5, "concepts")
	return cmd
}

func nearest(c *cli, phrase string, count int) error {
	if count < 1 || count > 1000 {
		return essaim.Errorf(essaim.CodeBadInput, "ask for 1 to 1000", "--count %d is out of range", count)
	}
	e, err := textengine.New()
	if err != nil {
		return err
	}
	found, err := e.Nearest(phrase, count)
	if errors.Is(err, engine.ErrBadRequest) {
		return essaim.Errorf(essaim.CodeBadInput, "write a phrase in Latin or Cyrillic letters", "%w", err)
	}
	if err != nil {
		return err
	}
	if c.json {
		type concept struct {
			Emoji  string `json:"emoji"`
			Name   string `json:"name"`
			Cosine int    `json:"cosine_permille"`
		}
		list := make([]concept, 0, len(found))
		for _, n := range found {
			list = append(list, concept{n.Emoji, n.Name, n.Cosine})
		}
		return term.JSON(c.stdout, map[string]any{"concepts": list})
	}
	for _, n := range found {
		if _, err := fmt.Fprintf(c.stdout, "%5.2f  %s  %s\n", float64(n.Cosine)/1000, n.Emoji, n.Name); err != nil {
			return err
		}
	}
	return nil
}
