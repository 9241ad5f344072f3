package censor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/censor"
)

func TestFinds(t *testing.T) {
	l, err := censor.Parse("# a comment\nred apple\n\n  Émeraude\nword")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"a red apple": true, "RED,\n-apple!": true, "a redapple": false, "red and apple": false, "reddish apple": false, "apple red": false,
		"une ÉMERAUDE": true, "emeraude": false, "sword": false, "word": true, "": false, "comment": false, `{"content":"a red apple"}`: true,
	} {
		if l.Finds(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	if (*censor.List)(nil).Finds("red apple") {
		t.Error("no list finds something")
	}
}

func TestOpen(t *testing.T) {
	if l, err := censor.Open(""); l != nil || err != nil {
		t.Errorf("%v, %v", l, err)
	}
	l, err := censor.Open(censor.Default)
	if err != nil || !l.Finds("Child-Porn") || l.Finds("a child with a red apple") {
		t.Errorf("the built-in list: %v", err)
	}
	file := filepath.Join(t.TempDir(), "words")
	for text, bad := range map[string]bool{"fish\n": false, "# nothing\n": true, strings.Repeat("a ", 20): true} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := censor.Open(file); (essaim.CodeOf(err) == essaim.CodeBadInput && err != nil) != bad {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := censor.Open(file + "-missing"); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("a missing file: %v", err)
	}
}
