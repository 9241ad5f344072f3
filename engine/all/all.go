// Package all lists the engine drivers in this binary: explicitly, one line each, so that
// what a miner can run is what this file says. Drivers do not register themselves.
//
// It must not hold anything but the list, the search for those of the list that run on this
// machine (local.go), and what asks all that are built in.
package all

import (
	"fmt"
	"slices"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/a1111"
	"github.com/essaim/essaim/engine/comfyui"
	"github.com/essaim/essaim/engine/exec"
	"github.com/essaim/essaim/engine/ollama"
	"github.com/essaim/essaim/engine/openai"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/engine/text"
)

// Driver is one kind of engine and how to get one.
type Driver struct {
	Name    string // as Engine.Name says
	Summary string // one line, for people

	BuiltIn bool // it is part of the binary and has no address

	// Places are where such an engine listens on this machine unless it was told otherwise.
	Places []string

	// Open connects to the engine at address, which is empty for one that is built in.
	Open func(address string) (engine.Engine, error)
}

// Registry lists the drivers, in the order in which a miner tries them.
func Registry() []Driver {
	return []Driver{
		{pixel.Name, "the built-in picture model, exact on every machine", true, nil, openPixel},
		{text.Name, "the built-in text model, exact on every machine", true, nil, openText},
		{ollama.Name, "Ollama", false, []string{"http://127.0.0.1:11434"}, other(ollama.New)},
		{openai.Name, "a server with OpenAI's interface: llama.cpp, vLLM, LocalAI, LM Studio", false, []string{"http://127.0.0.1:8080", "http://127.0.0.1:8000", "http://127.0.0.1:1234"}, other(openai.New)},
		{a1111.Name, "stable diffusion's web interface, started with --api", false, []string{"http://127.0.0.1:7860"}, other(a1111.New)},
		{comfyui.Name, "ComfyUI", false, []string{"http://127.0.0.1:8188"}, other(comfyui.New)},
		{exec.Name, "a program that speaks lines of JSON (docs/extend/engine.md)", false, nil, other(exec.New)},
	}
}

// Find returns the driver of that name.
func Find(name string) (Driver, error) {
	drivers := Registry()
	i := slices.IndexFunc(drivers, func(d Driver) bool { return d.Name == name })
	if i < 0 {
		return Driver{}, fmt.Errorf("no engine is called %q", name)
	}
	return drivers[i], nil
}

// Engines opens the engines that are built in.
func Engines() ([]engine.Engine, error) {
	var out []engine.Engine
	for _, d := range Registry() {
		if !d.BuiltIn {
			continue
		}
		e, err := d.Open("")
		if err != nil {
			return nil, fmt.Errorf("opening engine %s: %w", d.Name, err)
		}
		out = append(out, e)
	}
	return out, nil
}

// Plan asks the built-in engines what a request's model reads out of its prompt; zero if none of them has the model, or
// if it cannot run the request.
func Plan(r engine.Request) (d essaim.Digest) {
	list, err := opened()
	if err != nil {
		return d
	}
	for _, e := range list {
		p, ok := e.(engine.Planner)
		if !ok {
			continue
		}
		if d, err := p.Plan(r); err == nil {
			return d
		}
	}
	return d
}

var opened = sync.OnceValues(Engines)

func openPixel(address string) (engine.Engine, error) {
	return builtIn(pixel.Name, address, func() (*pixel.Engine, error) { return pixel.New() })
}

func openText(address string) (engine.Engine, error) {
	return builtIn(text.Name, address, text.New)
}

// other is how an engine is opened that is another program; whoever opens it closes it, if it can
// be closed.
func other[E engine.Engine](open func(string) (E, error)) func(string) (engine.Engine, error) {
	return func(address string) (engine.Engine, error) {
		e, err := open(address)
		if err != nil {
			return nil, err // not e: a nil pointer in an interface is not nil
		}
		return e, nil
	}
}

func builtIn[E engine.Engine](name, address string, open func() (E, error)) (engine.Engine, error) {
	if address != "" {
		return nil, fmt.Errorf("engine %s is built in and has no address, not %q", name, address)
	}
	e, err := open()
	if err != nil {
		return nil, err // not e: a nil pointer in an interface is not nil
	}
	return e, nil
}
