package all_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/essaim/essaim/engine/all"
)

func TestLocal(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"version":"0.17.4"}`) })
	mux.HandleFunc("GET /api/tags", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"models":[{"name":"m","digest":"d"}]}`) })
	mux.HandleFunc("POST /api/show", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"capabilities":["completion"]}`) })
	server := httptest.NewServer(mux)
	defer server.Close()
	dir := t.TempDir()
	program := filepath.Join(dir, "essaim-engine-nothing")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	places := append(all.Usual(), all.Place{Driver: "ollama", Address: server.URL}, all.Place{Driver: "a1111", Address: server.URL}, all.Place{Driver: "telepathy", Address: "x"})
	got := map[string]all.Found{}
	for _, f := range all.Local(t.Context(), places) {
		got[f.Driver+" "+f.Address] = f
	}
	if f := got["pixel "]; f.Err != nil || len(f.Models) != 1 {
		t.Errorf("the built-in engine: %+v", f)
	}
	if f := got["ollama "+server.URL]; f.Err != nil || len(f.Models) != 1 || f.Version != "0.17.4" {
		t.Errorf("Ollama: %+v", f)
	}
	for _, bad := range []string{"a1111 " + server.URL, "telepathy x", "exec " + program} {
		if f, ok := got[bad]; !ok || f.Err == nil {
			t.Errorf("%s: %+v", bad, f)
		}
	}
}

func TestPlaces(t *testing.T) {
	if p, err := all.ParsePlace("openai=http://x?embed=a=b"); err != nil || p != (all.Place{Driver: "openai", Address: "http://x?embed=a=b"}) {
		t.Errorf("%+v: %v", p, err)
	}
	for _, bad := range []string{"", "ollama", "ollama=", "telepathy=x"} {
		if _, err := all.ParsePlace(bad); err == nil {
			t.Errorf("%q is a place", bad)
		}
	}
}
