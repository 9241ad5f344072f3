package settings

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"pgregory.net/rapid"

	"github.com/essaim/essaim"
)

// values are what a flag may get, one from each place.
type values struct{ def, file, env, flag string }

// want is the documented precedence.
func (v values) want() (string, Origin) {
	switch {
	case v.flag != "":
		return v.flag, FromFlag
	case v.env != "":
		return v.env, FromEnv
	case v.file != "":
		return v.file, FromFile
	}
	return v.def, FromDefault
}

// TestPrecedence: whatever of flag, variable, file and default there is, and of whatever kind
// the flag is, the nearest wins; for flags that all commands share and for a command's own.
func TestPrecedence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{"string", "int", "bool", "list"}).Draw(t, "kind")
		draw := func(name string) string {
			if !rapid.Bool().Draw(t, name) {
				return ""
			}
			switch kind {
			case "int":
				return strconv.Itoa(rapid.IntRange(-9, 99).Draw(t, name+" int"))
			case "bool":
				return strconv.FormatBool(rapid.Bool().Draw(t, name+" bool"))
			}
			return rapid.StringMatching(`[a-z]{1,5}`).Draw(t, name+" text")
		}
		shared := rapid.Bool().Draw(t, "shared")
		v := values{"", draw("file"), draw("env"), draw("flag")}
		dir, err := os.MkdirTemp("", "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)

		root := &cobra.Command{Use: "prog", SilenceErrors: true, SilenceUsage: true}
		root.SetOut(io.Discard)
		root.PersistentFlags().String("home", dir, "")
		sub := &cobra.Command{Use: "do-it"}
		leaf := &cobra.Command{Use: "now"}
		root.AddCommand(sub)
		sub.AddCommand(leaf)
		flags, name, env := leaf.Flags(), "do-it.now.some-thing", "ESSAIM_DO_IT_NOW_SOME_THING"
		if shared {
			flags, name, env = root.PersistentFlags(), "some-thing", "ESSAIM_SOME_THING"
		}
		v.def = define(flags, kind)
		if v.file != "" {
			writeFile(t, dir, v.file, kind, shared)
		}
		args := []string{"do-it", "now"}
		if v.flag != "" {
			args = append(args, "--some-thing="+v.flag)
		}
		var got []Setting
		root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) (err error) {
			got, err = Apply(cmd, func(key string) string { return map[string]string{env: v.env}[key] })
			return err
		}
		leaf.Run = func(*cobra.Command, []string) {}
		root.SetArgs(args)
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		value, origin := v.want()
		for _, s := range got {
			if s.Name != name {
				continue
			}
			if strings.Trim(flags.Lookup("some-thing").Value.String(), "[]") != value || s.Origin != origin || s.Env != env {
				t.Fatalf("got %+v of %s, want %s from %s", s, flags.Lookup("some-thing").Value, value, origin)
			}
			return
		}
		t.Fatalf("no %s in %+v", name, got)
	})
}

// define adds a flag of a kind and returns its default.
func define(flags *pflag.FlagSet, kind string) string {
	switch kind {
	case "int":
		flags.Int("some-thing", 7, "")
	case "bool":
		flags.Bool("some-thing", false, "")
	case "list":
		flags.StringArray("some-thing", nil, "")
		return ""
	default:
		flags.String("some-thing", "", "")
	}
	return flags.Lookup("some-thing").DefValue
}

func writeFile(t *rapid.T, dir, text, kind string, shared bool) {
	if kind == "string" || kind == "list" {
		text = strconv.Quote(text)
	}
	if kind == "list" {
		text = "[" + text + "]"
	}
	content := "some-thing = " + text + "\n"
	if !shared {
		content = "[do-it.now]\n" + content
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBadFiles: each names what is wrong, and says what to do.
func TestBadFiles(t *testing.T) {
	for content, want := range map[string]string{
		"gatway = 'x'":           "gatway; is gateway meant?",
		"count = 2":              "count; is imagine.count meant?",
		"[imagin]\ncount = 2":    "imagin.count; is imagine.count meant?",
		"home = 'x'":             "home; the file lies in the home",
		"passphrase = 'x'":       "passphrase; a secret is not kept here",
		"zzzzzzzzzzzz = 1":       "zzzzzzzzzzzz; `essaim config show",
		"gateway = 1979-05-27":   "gateway is neither text",
		"a b":                    "line 1 is no TOML",
		"[imagine]\ncount = 'x'": "imagine.count in config.toml",
		"gateway = ['a', 'b']":   "no list",
	} {
		dir := t.TempDir()
		root := &cobra.Command{Use: "essaim"}
		root.PersistentFlags().String("home", dir, "")
		root.PersistentFlags().String("gateway", "", "")
		sub := &cobra.Command{Use: "imagine", Run: func(*cobra.Command, []string) {}}
		sub.Flags().Int("count", 1, "how many")
		root.AddCommand(sub)
		if err := sub.ParseFlags(nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Apply(sub, func(string) string { return "" })
		got := fmt.Sprintf("%v; %s", err, essaim.HintOf(err))
		if err == nil || !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", content, got, want)
		}
	}
}

// TestStrangers: a variable that begins like ours and is none is named, with the nearest.
func TestStrangers(t *testing.T) {
	root := &cobra.Command{Use: "essaim"}
	root.PersistentFlags().String("gateway", "", "")
	got := Strangers(root, []string{"HOME=/x", "ESSAIM_GATEWAY=x", "ESSAIM_PASSPHRASE=x", "ESSAIM_GATWAY=x", "ESSAIM_TEST_X=1"})
	if len(got) != 1 || got[0] != (Stranger{"ESSAIM_GATWAY", "ESSAIM_GATEWAY"}) {
		t.Errorf("got %v", got)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"gateway", "json", "passphrase-file", "imagine.count", "miner.run.at"}
	for word, want := range map[string]string{"gatewy": "gateway", "jsno": "json", "passphrase_file": "passphrase-file", "count": "imagine.count", "x": "", "colour": "", "imagine.cuont": "imagine.count"} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%s) = %q, want %q", word, got, want)
		}
	}
}
