package operator

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/engine/shelf"
)

// shelfOptions say where models are kept.
type shelfOptions struct{ dir, disk string }

func (o *shelfOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.dir, "dir", "", "folder of the models (default: essaim/models in the user's cache folder)")
}

func (o *shelfOptions) open() (*shelf.Shelf, error) {
	dir := o.dir
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "name a folder with --dir", "%w", err)
		}
		dir = filepath.Join(cache, "essaim", "models")
	}
	budget, err := parseBytes(o.disk)
	if err != nil {
		return nil, err
	}
	return shelf.Open(dir, budget)
}

// parseBytes reads a size such as 20GB; "" is 0.
func parseBytes(s string) (int64, error) {
	factor, number := int64(1), s
	for i, unit := range []string{"KB", "MB", "GB", "TB"} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			number = n
			for range i + 1 {
				factor *= 1000
			}
		}
	}
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > 1<<40 {
		return 0, essaim.Errorf(essaim.CodeBadInput, "write it like 500MB or 20GB", "%.20q is no size", s)
	}
	return n * factor, nil
}

func newModelPull(s *Shell) *cobra.Command {
	var o shelfOptions
	var gateway string
	var accepted []string
	cmd := &cobra.Command{
		Use: "pull URL|DIGEST", Short: "Fetch a model's files, checked, from where its manifest lies or from a gateway", Args: cobra.ExactArgs(1),
		Long: `Fetches the manifest and every file that it lists, and checks them by their digests. A fetch
that was cut goes on where it was when the command is given again; files that several models have are
kept once. With --disk the models that were not used for the longest time make room.

Of a model whose licence does not let everybody use it for everything, read the licence and name it
with --accept-licence.`,
		Example: "  essaim model pull https://example.org/pixel-2/manifest.json --disk 20GB\n  essaim model pull 4c064d25… --gateway https://gateway.example",
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := o.open()
			if err != nil {
				return err
			}
			manifest, from, err := source(cmd.Context(), args[0], gateway)
			if err != nil {
				return err
			}
			m, err := to.Pull(cmd.Context(), manifest, from, accepted, s.fetched(cmd))
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, m)
			}
			_, err = fmt.Fprintf(s.Stdout, "model    %s\nname     %s\nlicence  %s\nmanifest %s\n", m.Digest, m.Name, m.Licence, m.Path)
			return err
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.disk, "disk", "", "the most that all models may take, such as 20GB (default: no limit)")
	f.StringVar(&gateway, "gateway", "", "URL that serves the files as blobs, at /ipfs/CID")
	f.StringArrayVar(&accepted, "accept-licence", nil, "a licence besides the free ones that you accept")
	return cmd
}

// source finds a manifest, and where its files are.
func source(ctx context.Context, what, gateway string) ([]byte, shelf.Source, error) {
	d, err := essaim.ParseDigest(what)
	if err != nil {
		manifest, err := shelf.Manifest(ctx, what, essaim.Digest{}, nil)
		if err != nil {
			return nil, nil, err
		}
		from, err := shelf.Beside(what, nil)
		if gateway != "" && err == nil {
			from, err = shelf.Blobs(gateway, nil)
		}
		return manifest, from, err
	}
	if gateway == "" {
		return nil, nil, essaim.Errorf(essaim.CodeBadInput, "name one with --gateway", "a digest does not say where the model is")
	}
	manifest, err := shelf.Manifest(ctx, strings.TrimRight(gateway, "/")+"/ipfs/"+essaim.CIDOf(d), d, nil)
	if err != nil {
		return nil, nil, err
	}
	from, err := shelf.Blobs(gateway, nil)
	return manifest, from, err
}

// fetched tells how far a fetch is, a few times a second at most.
func (s *Shell) fetched(cmd *cobra.Command) func(have, of int64) {
	var last time.Time
	return func(have, of int64) {
		if now := time.Now(); have == of || now.Sub(last) > time.Second {
			last = now
			fmt.Fprintf(cmd.ErrOrStderr(), "%s of %s bytes\n", term.Grouped(uint64(have)), term.Grouped(uint64(of)))
		}
	}
}

func newModelList(s *Shell) *cobra.Command {
	var o shelfOptions
	cmd := &cobra.Command{
		Use: "list", Short: "Models that were fetched, the one that was used last first", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			from, err := o.open()
			if err != nil {
				return err
			}
			all, err := from.List()
			if err != nil {
				return err
			}
			if s.JSON() {
				return term.JSON(s.Stdout, map[string]any{"models": append([]shelf.Model{}, all...)})
			}
			rows := [][]string{{"DIGEST", "NAME", "LICENCE", "BYTES", "OWN", "USED"}}
			for _, m := range all {
				rows = append(rows, []string{m.Digest.Short(), m.Name, m.Licence, term.Grouped(uint64(m.Bytes)), term.Grouped(uint64(m.Own)), m.Used.UTC().Format(time.DateOnly)})
			}
			term.Table(s.Stdout, "   rr ", rows...)
			return nil
		},
	}
	o.flags(cmd)
	return cmd
}

func newModelRemove(s *Shell) *cobra.Command {
	var o shelfOptions
	cmd := &cobra.Command{
		Use: "rm DIGEST", Short: "Remove a model that was fetched, with the files that no other has", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			from, err := o.open()
			if err != nil {
				return err
			}
			all, err := from.List()
			if err != nil {
				return err
			}
			for _, m := range all {
				if len(args[0]) >= 8 && strings.HasPrefix(m.Digest.String(), args[0]) {
					return s.done(from.Remove(m.Digest), map[string]any{"model": m.Digest, "removed": true})
				}
			}
			return essaim.Errorf(essaim.CodeNotFound, "essaim model list shows what is here", "model %.64s is not here", args[0])
		},
	}
	o.flags(cmd)
	return cmd
}
