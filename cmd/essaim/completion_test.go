package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim/client"
)

// bashCompletion is where packages put what completion in Bash stands on.
const bashCompletion = "/usr/share/bash-completion/bash_completion"

// TestCompletionInBash presses Tab in a real Bash with the real bash-completion.
func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash here")
	}
	if _, err := os.Stat(bashCompletion); err != nil {
		t.Skip("there is no package bash-completion here")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	home, p, account := startFresh(ctx, t)
	if _, err := client.Open(ctx, configOf(ctx, t, p, account), 10_000); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"essaim rec":                     {"receipt"},
		"essaim keys re":                 {"remember"},
		"essaim imagine x --max":         {"--max-price"},
		"essaim imagine x --model pix":   {"pixel-2"},
		"essaim send x 1 --from us":      {"user"},
		"essaim balance mod":             {"modeller"},
		"essaim session show ":           {"1"},
		"essaim query session ":          {"1"},
		"essaim completion ":             {"bash", "fish", "powershell", "zsh"},
		"essaim --home nowhere balance ": nil,
		"essaim nonsense ":               nil,
	}
	for line, got := range tab(ctx, t, bash, home, slices.Sorted(maps.Keys(want))) {
		if !slices.Equal(got, want[line]) {
			t.Errorf("Tab after %q offers %q, want %q", line, got, want[line])
		}
	}
}

// tab is what Bash offers for each line with the cursor at its end.
func tab(ctx context.Context, t *testing.T, bash, home string, lines []string) map[string][]string {
	t.Helper()
	script := new(strings.Builder)
	script.WriteString(`. ` + bashCompletion + ` && eval "$(essaim completion bash)" && set -- $(complete -p essaim) && while [ "$1" != -F ]; do shift; done
compopt() { :; }
COMP_TYPE=9 COMP_KEY=9
`)
	for _, line := range lines {
		words := strings.Split(line, " ")
		last := len(words) - 1
		for i, w := range words {
			words[i] = strconv.Quote(w)
		}
		fmt.Fprintf(script, `COMPREPLY=() COMP_WORDS=(%s) COMP_CWORD=%d COMP_LINE=%q COMP_POINT=%d
"$2" essaim "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '> %%s\n' "$COMP_LINE" "${COMPREPLY[@]/#/offers }"
`, strings.Join(words, " "), last, line, len(line))
	}
	cmd := exec.CommandContext(ctx, bash, "--norc", "--noprofile", "-c", script.String())
	cmd.Env = append(os.Environ(), "ESSAIM_HOME="+home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	offered, at := map[string][]string{}, ""
	for l := range strings.Lines(string(out)) {
		l = strings.TrimSuffix(strings.TrimPrefix(l, "> "), "\n")
		w, found := strings.CutPrefix(l, "offers ")
		if !found {
			at = l
			offered[at] = nil
			continue
		}
		w, _, _ = strings.Cut(w, "  ") // what it is stands behind it
		offered[at] = append(offered[at], strings.TrimSpace(w))
		slices.Sort(offered[at])
	}
	return offered
}
