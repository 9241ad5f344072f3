package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/essaim/essaim/cmd/essaim/manual"
	"github.com/essaim/essaim/proof/builtin"
)

// wordless are the commands that TestJSON does not see print one JSON object, and why.
var wordless = map[string]string{
	"essaim completion":    "it prints a script for a shell",
	"essaim man":           "it writes files and prints nothing",
	"essaim help":          "help is for people",
	"essaim audit export":  "it prints a file format: one JSON object a line",
	"essaim keys remember": "it prints what keys create does, and needs a desktop's keyring",
	"essaim keys forget":   "it prints what keys create does, and needs a desktop's keyring",
	"essaim bot telegram":  "it prints where it answers, once, and needs a platform to answer on",
	"essaim node":          "it prints which role is ready, once, and needs a network of processes",
	"essaim node move":     "it needs PostgreSQL: TestMoveToADatabase has one",
	"essaim bot discord":   "it prints where it answers, once, and needs a platform to answer on",

	"essaim demo":              "a story: term.Teller prints it, as it does of demo-settlement here",
	"essaim demo-bot":          "a story: term.Teller prints it, as it does of demo-settlement here",
	"essaim demo-proof":        "a story: term.Teller prints it, as it does of demo-settlement here",
	"essaim demo-stake":        "a story: term.Teller prints it, as it does of demo-settlement here",
	"essaim demo-verification": "a story: term.Teller prints it, as it does of demo-settlement here",

	"essaim actor unjail":    "it needs a miner in jail, and prints as actor bond does",
	"essaim propose reverse": "it needs a slash, and prints as propose text does",
	"essaim slashes show":    "it needs a slash: TestWhoIsSilentLoses has one",
	"essaim slashes appeal":  "it needs a slash, and prints as actor bond does",
	"essaim proof convict":   "it needs a proof that is wrong: TestConvictAsJSON of package proving",
	"essaim task cancel":     "it needs a task under way",
}

// leaves are the commands that do something by themselves.
func leaves() map[string]*cobra.Command {
	out := map[string]*cobra.Command{}
	manual.Walk(tree(), func(cmd *cobra.Command) {
		if reflect.ValueOf(cmd.RunE).Pointer() != reflect.ValueOf(showHelp).Pointer() {
			out[cmd.CommandPath()] = cmd
		}
	})
	return out
}

// objects are the commands that have been seen to print one object.
type objects struct {
	mu   sync.Mutex
	seen map[string]bool
}

// one wants the last stdout to be one JSON object, and notes what has printed it.
func (o *objects) one(ts *testscript.TestScript, _ bool, args []string) {
	if err := single(ts.ReadFile("stdout")); err != nil {
		ts.Fatalf("stdout of %s is not one JSON object: %v\n%s", strings.Join(args, " "), err, ts.ReadFile("stdout"))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if cmd := manual.Of(tree(), strings.Join(args, " ")); cmd != nil {
		o.seen[cmd.CommandPath()] = true
	}
}

// object runs a command with --json, whose answer may be no, and wants one object.
func (o *objects) object(ts *testscript.TestScript, neg bool, args []string) {
	try(ts, neg, append([]string{args[0], "--json"}, args[1:]...))
	o.one(ts, neg, args)
}

func single(text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	var v any // what the ledger lists is an array
	if err := d.Decode(&v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}

// TestJSON: with --json every command that prints a result prints one JSON object, and nothing
// else, on stdout. testdata/json has each of them; besides TestScripts' commands there are
//
//	object essaim …   runs it with --json and wants one object
//	one essaim …      wants one object in the last stdout, which this command has printed
func TestJSON(t *testing.T) {
	o := &objects{seen: map[string]bool{}}
	t.Cleanup(func() { // once all scripts have ended
		if t.Failed() {
			return
		}
		for path := range leaves() {
			if why := wordless[path]; (why == "") != o.seen[path] {
				t.Errorf("%s: seen to print one object: %t; said to have no need to: %q", path, o.seen[path], why)
			}
		}
	})
	model, err := filepath.Abs(filepath.Join("..", "..", "engine", "pixel"))
	if err != nil {
		t.Fatal(err)
	}
	models := httptest.NewServer(http.FileServer(http.Dir(model)))
	t.Cleanup(models.Close)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "json"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("ESSAIM_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("MODELS", models.URL)
			e.Setenv("WEIGHTS", filepath.Join(model, "weights.bin"))
			e.Setenv("ESSAIM_CACHE", builtin.Folder())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"object": o.object, "one": o.one, "setjson": setJSON, "json": jsonField, "ready": waitReady, "status": exitStatus,
		},
	})
}

// TestErrorsAsJSON: of every command, also where its arguments cannot be read.
func TestErrorsAsJSON(t *testing.T) {
	for path, cmd := range leaves() {
		words := strings.Fields(path)[1:]
		for _, args := range [][]string{append([]string{"--json"}, append(words, "--no-such-flag")...), append(words, "--no-such-flag", "--json")} {
			said, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			c := &cli{stdin: strings.NewReader(""), stdout: said, stderr: said, getenv: func(string) string { return "" }}
			code := c.run(context.Background(), args)
			b, err := os.ReadFile(said.Name())
			if err != nil {
				t.Fatal(err)
			}
			if cmd.Name() == "help" {
				continue
			}
			var v struct{ Error struct{ Exit int } }
			if err := single(string(b)); err != nil || json.Unmarshal(b, &v) != nil || v.Error.Exit != 2 || code != 2 {
				t.Errorf("essaim %s: exit code %d, %v\n%s", strings.Join(args, " "), code, err, b)
			}
			said.Close()
		}
	}
}
