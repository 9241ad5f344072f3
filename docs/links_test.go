package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// documents are the files that people read: those in the root, and all of docs/.
func documents(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(root + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, ".") {
		if strings.HasSuffix(name, ".md") {
			names = append(names, filepath.FromSlash(name))
		}
	}
	return names
}

var (
	code    = regexp.MustCompile("(?s)```.*?```|`[^`]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// anchors are the names that a site gives to a document's headings.
func anchors(text string) []string {
	var names []string
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		names = append(names, name)
	}
	return names
}

// TestLinks: each relative link leads to a file, and to a heading if it names one.
func TestLinks(t *testing.T) {
	for _, name := range documents(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			to := name
			if file != "" {
				to = filepath.Join(filepath.Dir(name), filepath.FromSlash(file))
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
				continue
			}
			if anchor == "" {
				continue
			}
			if text, err := os.ReadFile(to); err != nil || !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s links to %s, which has no such heading (%v)", name, m[1], err)
			}
		}
	}
}

// TestMap: whoever comes to docs/README.md finds every document from there.
func TestMap(t *testing.T) {
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		text, err := os.ReadFile(name)
		if seen[name] || err != nil {
			return
		}
		seen[name] = true
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if file, _, _ := strings.Cut(m[1], "#"); strings.HasSuffix(file, ".md") && !strings.Contains(file, "://") {
				visit(filepath.Join(filepath.Dir(name), filepath.FromSlash(file)))
			}
		}
	}
	visit("README.md")
	for _, name := range files(t, ".") {
		decision := strings.HasPrefix(name, "adr/") // they are found by their folder
		if strings.HasSuffix(name, ".md") && !decision && !seen[filepath.FromSlash(name)] {
			t.Errorf("nobody finds %s: no way of links leads there from docs/README.md", name)
		}
	}
}

var (
	// A command in a text or in a block, up to what is no subcommand of it.
	mention = regexp.MustCompile("(?m)(?:^|[`$(|] ?)essaim((?: [a-z][a-z-]*)+)")
	target  = regexp.MustCompile("(?m)(?:^|[`(]|sudo )make((?: [a-z][a-z-]*)+)")
	listed  = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) `)
)

// subcommands asks the program what may follow a command; nothing may follow most.
func subcommands(t *testing.T, asked map[string][]string, path []string) []string {
	t.Helper()
	key := strings.Join(path, " ")
	if names, ok := asked[key]; ok {
		return names
	}
	out, err := exec.Command(program(t), append(slices.Clone(path), "--help")...).Output()
	if err != nil {
		t.Fatalf("essaim %s --help: %v", key, err)
	}
	var names []string
	if _, after, ok := strings.Cut(string(out), "Available Commands:"); ok {
		after, _, _ = strings.Cut(after, "\nFlags:")
		for _, m := range listed.FindAllStringSubmatch(after, -1) {
			names = append(names, m[1])
		}
	}
	asked[key] = names
	return names
}

// TestCommands: the commands and the targets that documents speak of are there.
func TestCommands(t *testing.T) {
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string][]string{}
	for _, name := range documents(t) {
		if filepath.Base(name) == "CHANGELOG.md" || strings.HasPrefix(filepath.ToSlash(name), "adr/") {
			continue // they tell what was
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range target.FindAllStringSubmatch(string(text), -1) {
			if first := strings.Fields(m[1])[0]; !strings.Contains(string(makefile), "\n"+first+":") {
				t.Errorf("%s: there is no `make %s`", name, first)
			}
		}
		for _, m := range mention.FindAllStringSubmatch(string(text), -1) {
			words := strings.Fields(m[1])
			for i := range words {
				names := subcommands(t, asked, words[:i])
				if len(names) == 0 { // what follows is an argument
					break
				}
				if !slices.Contains(names, words[i]) && (i == 0 || words[i-1] != "actor" && words[i-1] != "rewards" && words[i-1] != "proposals" && words[i-1] != "help") {
					t.Errorf("%s: there is no `essaim %s`", name, strings.Join(words[:i+1], " "))
				}
				if !slices.Contains(names, words[i]) {
					break
				}
			}
		}
	}
}
