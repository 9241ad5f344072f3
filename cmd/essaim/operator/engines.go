package operator

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/engine/all"
)

// Engines is the command that finds what engines a miner could run here.
func Engines(s *Shell) *cobra.Command {
	var at []string
	cmd := &cobra.Command{
		Use: "engines", Short: "Find the engines on this machine, and what they can run", Args: cobra.NoArgs,
		Long: `Looks where engines listen unless they were told otherwise, and for programs on the path
whose name begins with essaim-engine-. --at looks elsewhere, too. With --json each model comes
with the manifest that its owner registers.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.engines(cmd.Context(), at) },
	}
	cmd.Flags().StringArrayVar(&at, "at", nil, "look here, too: DRIVER=ADDRESS, such as openai=http://192.168.1.7:8000")
	return cmd
}

// engineJSON is an engine as --json tells it.
type engineJSON struct {
	Engine  string      `json:"engine"`
	Address string      `json:"address,omitempty"`
	Version string      `json:"version,omitempty"`
	Models  []modelJSON `json:"models"`
	Error   string      `json:"error,omitempty"`
}

type modelJSON struct {
	Name     string        `json:"name"`
	Kind     essaim.Kind   `json:"kind"`
	Digest   essaim.Digest `json:"digest"`
	Meter    essaim.Meter  `json:"meter"`
	Manifest string        `json:"manifest,omitempty"`
}

func (s *Shell) engines(ctx context.Context, at []string) error {
	places := all.Usual()
	for _, place := range at {
		p, err := all.ParsePlace(place)
		if err != nil {
			return essaim.Errorf(essaim.CodeBadInput, "the drivers are "+strings.Join(driverNames(), ", "), "--at: %w", err)
		}
		places = append(places, p)
	}
	found := all.Local(ctx, places)
	if s.JSON() {
		out := []engineJSON{}
		for _, f := range found {
			e := engineJSON{Engine: f.Driver, Address: f.Address, Version: f.Version, Models: []modelJSON{}}
			for _, m := range f.Models {
				e.Models = append(e.Models, modelJSON{m.Name, m.Kind, m.Digest, m.Meter, string(m.Manifest)})
			}
			if f.Err != nil {
				e.Error = f.Err.Error()
			}
			out = append(out, e)
		}
		return term.JSON(s.Stdout, map[string]any{"engines": out})
	}
	for _, f := range found {
		fmt.Fprintln(s.Stdout, strings.Join(strings.Fields(f.Driver+" "+f.Version+" "+f.Address), " "))
		if f.Err != nil {
			fmt.Fprintf(s.Stdout, "  cannot be used: %v\n", f.Err)
		}
		for _, m := range f.Models {
			fmt.Fprintf(s.Stdout, "  %-40s %-10s %s\n", m.Name, m.Kind, m.Digest.Short())
		}
	}
	return nil
}

func driverNames() []string {
	var out []string
	for _, d := range all.Registry() {
		if !d.BuiltIn {
			out = append(out, d.Name)
		}
	}
	return out
}
