package exec_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/engine/exec"
)

// TestMain is the program that the tests run, too: its fault is its argument.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "engine:") {
		program(strings.ReplaceAll(strings.TrimPrefix(os.Args[1], "engine:"), "-", " "))
		return
	}
	goleak.VerifyTestMain(m)
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// program draws one picture at a time, with the faults that a program can have.
func program(fault string) {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var q struct {
			ID            uint64
			Method        string
			Prompt        string
			Seed          uint64
			Width, Height int
			Steps         int
		}
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			panic(err)
		}
		switch {
		case q.Method == "models":
			say(`{"id":%d,"models":[{"name":"tiny","kind":"image","source":"abc","sizes":[[8,8],[16,8]],"min_steps":1,"max_steps":3,"steps":2},{"name":"later","kind":"smell"}]}`, q.ID)
		case q.Method == "cancel":
		case fault == "ends":
			return
		case fault == "hangs":
		case fault == "babbles":
			say("Loading checkpoint shards: 100%%")
		case fault == "refuses":
			say(`{"id":%d,"error":{"kind":"bad_request","message":%q}}`, q.ID, q.Prompt)
		case fault == "fails":
			say(`{"id":%d,"error":{"kind":"oom","message":%q}}`, q.ID, q.Prompt)
		default:
			for i := range q.Steps {
				say(`{"id":%d,"step":%d,"steps":%d}`, q.ID, i+1, q.Steps)
				time.Sleep(2 * time.Millisecond)
			}
			file := enginetest.Painted(engine.Request{Prompt: q.Prompt, Seed: q.Seed, Width: q.Width, Height: q.Height, Steps: q.Steps}, fault)
			b, _ := json.Marshal(file)
			say(`{"id":%d,"result":{"picture":%s}}`, q.ID, b)
		}
	}
}

func open(t testing.TB, command string) *exec.Engine {
	e, err := exec.New(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestConforms(t *testing.T) {
	enginetest.Run(t, func() engine.Engine { return open(t, os.Args[0]+" engine:") })
}

// TestTheExample of the documentation is an engine.
func TestTheExample(t *testing.T) {
	if _, err := osexec.LookPath("python3"); err != nil {
		t.Skip("python3 is not on this machine")
	}
	path, err := filepath.Abs("../../docs/extend/engine.py")
	if err != nil {
		t.Fatal(err)
	}
	enginetest.Run(t, func() engine.Engine { return open(t, path) })
	if name := open(t, path).Name(); name != "engine" {
		t.Errorf("its name is %q", name)
	}
}

func TestFaults(t *testing.T) {
	for fault, want := range map[string]error{
		"ends": adapter.ErrBroken, "babbles": adapter.ErrBroken, "refuses": engine.ErrBadRequest, "fails": adapter.ErrBroken, "hangs": context.DeadlineExceeded,
		enginetest.HalfPicture: adapter.ErrBroken, enginetest.WrongSize: adapter.ErrBroken, enginetest.NoPicture: adapter.ErrBroken,
	} {
		t.Run(fault, func(t *testing.T) {
			e := open(t, os.Args[0]+" engine:"+strings.ReplaceAll(fault, " ", "-"))
			models, err := e.Models(t.Context())
			if err != nil || len(models) != 1 {
				t.Fatalf("%d models: %v", len(models), err)
			}
			for range 2 { // a program that has ended is started again
				ctx, cancel := context.WithCancel(t.Context())
				if fault == "hangs" { // the others end by themselves, however long a busy machine takes to start a program
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
				}
				_, err = e.Run(ctx, engine.Request{Model: models[0].Digest, Prompt: "the-prompt-of-somebody"}, nil)
				cancel()
				if !errors.Is(err, want) || strings.Contains(err.Error(), "somebody") {
					t.Errorf("error %v, want %v", err, want)
				}
			}
		})
	}
	if _, err := exec.New("essaim-engine-that-is-nowhere"); err == nil {
		t.Error("a program that is not there is an engine")
	}
	if _, err := exec.New(" "); err == nil {
		t.Error("nothing is an engine")
	}
}
