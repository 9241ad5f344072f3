package all_test

import (
	"flag"
	"testing"

	"github.com/essaim/essaim/internal/measured"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/all"
	"github.com/essaim/essaim/verify/freivalds"
	"github.com/essaim/essaim/verify/rerun"
	"github.com/essaim/essaim/verify/verifytest"
)

const (
	document = "../../docs/verification.md"
	models   = "../../engine/pixel"
)

var update = flag.Bool("update-docs", false, "rewrite the tables of docs/verification.md")

// methods are those of the list, each with the lab's tools.
func methods() (out []verifytest.Method) {
	for _, m := range all.Methods(all.Tools{}) {
		name := m.About().Name
		out = append(out, verifytest.Method{Name: name, Make: func(l *verifytest.Lab, noise int) verify.Method {
			tools := all.Tools{Runner: l.Runner(noise), Exact: verifytest.Exact(noise)}
			if noise == 0 {
				tools.Walk = []freivalds.Walker{l.Honest}
			}
			found, _ := all.Find(all.Methods(tools), name)
			return found
		}})
	}
	return out
}

func TestConformance(t *testing.T) {
	lab := verifytest.NewLab(t, models)
	for _, m := range methods() {
		t.Run(m.Name, func(t *testing.T) { verifytest.Run(t, lab, m) })
	}
}

// TestRates measures each method against each hand, and keeps the tables of the document.
func TestRates(t *testing.T) {
	const trials = 40
	lab := verifytest.NewLab(t, models)
	for _, setting := range []struct {
		name  string
		noise int
	}{{"rates-exact", 0}, {"rates-inexact", 1}} {
		rows := [][]string{{"miner"}}
		for _, m := range methods() {
			rows[0] = append(rows[0], m.Name)
		}
		for _, h := range verifytest.Hands() {
			row := []string{h.Name}
			for i, r := range verifytest.Measure(t, lab, methods(), h, trials, setting.noise) {
				row = append(row, r.String())
				if h.Honest && r.Invalid > 0 {
					t.Errorf("%s finds an honest miner guilty %d times of %d", methods()[i].Name, r.Invalid, r.Trials())
				}
				sharp := methods()[i].Name == rerun.Name || methods()[i].Name == freivalds.Name
				if sharp && setting.noise == 0 && !h.Honest && r.Invalid != r.Trials() {
					t.Errorf("%s does not see that a miner's result is of %s, %d times of %d", methods()[i].Name, h.Name, r.Trials()-r.Invalid, r.Trials())
				}
			}
			rows = append(rows, row)
		}
		measured.Block(t, document, setting.name, measured.Table(rows), *update)
	}
}

// TestDescriptions keeps the list of methods in the document.
func TestDescriptions(t *testing.T) {
	rows := [][]string{{"method", "rung", "for", "needs", "proves", "does not prove", "cost", "score"}}
	for _, m := range all.Methods(all.Tools{}) {
		a := m.About()
		rows = append(rows, []string{"`" + a.Name + "`", a.Rung, a.For, a.Needs, a.Proves, a.Not, a.Cost, a.Score})
	}
	measured.Block(t, document, "methods", measured.Table(rows), *update)
}
