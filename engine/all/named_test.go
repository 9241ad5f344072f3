package all_test

import (
	"io"
	"os"
	"testing"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/engine/enginetest"
)

// TestNamedEngine runs the conformance suite with an engine that really runs somewhere.
func TestNamedEngine(t *testing.T) {
	name := os.Getenv("ESSAIM_TEST_ENGINE")
	if name == "" {
		t.Skip("ESSAIM_TEST_ENGINE names no engine, such as ollama=http://127.0.0.1:11434")
	}
	p, err := all.ParsePlace(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := all.Find(p.Driver)
	if err != nil {
		t.Fatal(err)
	}
	enginetest.Run(t, func() engine.Engine {
		e, err := d.Open(p.Address)
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := e.(io.Closer); ok {
			t.Cleanup(func() { _ = c.Close() })
		}
		return e
	})
}
