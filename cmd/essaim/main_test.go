package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/essaim/essaim/proof/builtin"

	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/node"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"essaim": func() { os.Exit(run()) }, "essaim-cheat": cheatNode})
}

// TestScripts runs testdata/*.txt: the program as people use it, in processes of its
// own. Besides testscript's commands there are
//
//	status CODE essaim …   runs it and wants this exit code
//	try essaim …           runs it; both exit codes of an answer, 0 and 1, will do
//	json PATH [VALUE]      wants a field of the last stdout; without VALUE, that it is there
//	setjson VAR PATH       puts a field of the last stdout into an environment variable
//	ready HOME             waits until the network of a home answers
//	narrow                 wants the last stdout to fit 80 columns
//	flip FILE OFFSET       changes one character of a file; a hexadecimal digit stays one
//	checked FILE [FLAG…]   verifies a receipt with what the gateway of ESSAIM_HOME says was checked
//	generate HOME KEY      draws a picture with an API key
//	tamper HOME SQL        changes the books of the API keys behind the program's back
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("ESSAIM_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("ESSAIM_CACHE", builtin.Folder()) // what is in it is checked, and takes ten seconds to make
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": exitStatus, "try": try, "json": jsonField, "setjson": setJSON, "ready": waitReady, "narrow": narrow, "flip": flip, "generate": generate, "checked": checkedBy, "tamper": tamper,
		},
	})
}

func exitStatus(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func try(ts *testscript.TestScript, _ bool, args []string) {
	var exit *exec.ExitError
	if err := ts.Exec(args[0], args[1:]...); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		ts.Fatalf("%v", err)
	}
}

// field finds a.b.0.c in the last stdout.
func field(ts *testscript.TestScript, path string) (any, bool) {
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &v); err != nil {
		ts.Fatalf("stdout is no JSON: %v", err)
	}
	for _, name := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[name]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(at) {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func text(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func jsonField(ts *testscript.TestScript, neg bool, args []string) {
	v, ok := field(ts, args[0])
	switch {
	case !ok && !neg:
		ts.Fatalf("stdout has no %s", args[0])
	case len(args) > 1 && (text(v) == args[1]) == neg:
		ts.Fatalf("%s is %s, want %s (not: %t)", args[0], text(v), args[1], neg)
	}
}

func setJSON(ts *testscript.TestScript, _ bool, args []string) {
	v, ok := field(ts, args[1])
	if !ok {
		ts.Fatalf("stdout has no %s", args[1])
	}
	ts.Setenv(args[0], text(v))
}

func waitReady(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if i, err := devnet.ReadInfo(ts.MkAbs(args[0])); err == nil && i.Gateway != "" {
			if ts.Exec("essaim", "--home", args[0], "--gateway", i.Gateway, "query", "status") == nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			ts.Fatalf("no network answers in %s", args[0])
		}
	}
}

func narrow(ts *testscript.TestScript, _ bool, _ []string) {
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			ts.Fatalf("%d columns: %s", n, line)
		}
	}
}

func checkedBy(ts *testscript.TestScript, _ bool, args []string) {
	i, err := devnet.ReadInfo(ts.Getenv("ESSAIM_HOME"))
	ts.Check(err)
	ts.Check(ts.Exec("essaim", append([]string{"receipt", "verify", "--gateway", i.Gateway}, args...)...))
}

func generate(ts *testscript.TestScript, _ bool, args []string) {
	i, err := devnet.ReadInfo(ts.MkAbs(args[0]))
	ts.Check(err)
	req, err := http.NewRequest(http.MethodPost, i.Gateway+"/v1/images/generations", strings.NewReader(`{"prompt":"a red apple"}`))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+args[1])
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("the gateway answers %s", resp.Status)
	}
}

func tamper(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", filepath.Join(ts.MkAbs(args[0]), "coordinator", node.KeysFile))
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec("DROP TRIGGER IF EXISTS entries_fixed; DROP TRIGGER IF EXISTS entries_stay; " + args[1])
	ts.Check(err)
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	i, err := strconv.Atoi(args[1])
	ts.Check(err)
	const digits = "0123456789ABCDEF"
	if k := strings.IndexByte(digits, b[i]); k >= 0 {
		b[i] = digits[k^1]
	} else {
		b[i] ^= 1
	}
	ts.Check(os.WriteFile(name, b, 0o644))
}
