package trust_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/measured"
	"github.com/essaim/essaim/verify/trust"
)

const document = "../../docs/verification.md"

var update = flag.Bool("update-docs", false, "rewrite the tables of docs/verification.md")

// A miner's results, in chances of a million.
type miner struct {
	wrong, near uint32
	honestFor   uint64 // jobs, before it begins
	proven      bool   // one wrong result is proof, as it is of an exact model
}

// life is what a miner's audits came to.
type life struct {
	jobs, audits      uint64 // until it was convicted or unlisted, or the end
	later, laterAudit uint64 // of these, at full reputation
	action            trust.Action
}

// live lets a miner work until one of the actions, or the end.
func live(r *rand.Rand, m miner, jobs uint64, exact bool, until ...trust.Action) (l life) {
	var record trust.Record
	for l.jobs = 1; l.jobs <= jobs; l.jobs++ {
		audited := r.Uint32N(10_000) < uint32(record.Share(exact))
		if full := record.Jobs >= trust.JobsYoung; full {
			l.later++
			if audited {
				l.laterAudit++
			}
		}
		record.Finished()
		if !audited {
			continue
		}
		l.audits++
		outcome := trust.Right
		if l.jobs > m.honestFor {
			switch x := r.Uint32N(1_000_000); {
			case x < m.wrong:
				outcome = trust.Wrong
			case x < m.wrong+m.near:
				outcome = trust.Near
			}
		}
		a := record.Audited(outcome)
		if m.proven && outcome == trust.Wrong {
			a = trust.Convict
		}
		if slices.Contains(until, a) {
			l.action = a
			return l
		}
	}
	l.jobs = jobs
	return l
}

func comma(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// TestHonestMiners simulates 10,000 honest miners of each kind.
func TestHonestMiners(t *testing.T) {
	const miners = 10_000
	rows := [][]string{{"10,000 honest miners", "jobs each", "audits a miner", "convicted", "unlisted", "audits a job at full reputation", "with canaries"}}
	for i, c := range []struct {
		name  string
		m     miner
		exact bool
		jobs  uint64
	}{
		{"exact model (no failed audits: measured above)", miner{}, true, 3_000},
		{"inexact model, 1 failed audit in 1,000", miner{wrong: 1_000}, false, 3_000},
		{"inexact model, 1 in 100: as bad as still counts as honest", miner{wrong: 10_000}, false, 10_000},
		{"inexact model, 1 near result in 100", miner{near: 10_000}, false, 3_000},
	} {
		r := rand.New(rand.NewPCG(6, uint64(i)))
		var audits, convicted, unlisted, later, laterAudits uint64
		for range miners {
			l := live(r, c.m, c.jobs, c.exact, trust.Convict, trust.Unlist)
			audits, later, laterAudits = audits+l.audits, later+l.later, laterAudits+l.laterAudit
			switch l.action {
			case trust.Convict:
				convicted++
			case trust.Unlist:
				unlisted++
			}
		}
		share := laterAudits * 1_000_000 / later
		total := share * uint64(essaim.BpsWhole+trust.Canaries) / uint64(essaim.BpsWhole)
		rows = append(rows, []string{c.name, comma(c.jobs), comma(audits / miners), comma(convicted), comma(unlisted), percent(share), percent(total)})
		if c.exact && (convicted > 0 || unlisted > 0 || total > 60_000) {
			t.Errorf("%s: %d convicted, %d unlisted, %s of all compute; want none and at most 6 %%", c.name, convicted, unlisted, percent(total))
		}
		if convicted > 15 || unlisted > 10 {
			t.Errorf("%s: %d convicted, %d unlisted of %d", c.name, convicted, unlisted, miners)
		}
	}
	measured.Block(t, document, "honest", measured.Table(rows), *update)
}

// percent writes millionths.
func percent(n uint64) string { return fmt.Sprintf("%d.%02d %%", n/10_000, n/100%100) }

// TestCheaters simulates 1,000 miners of each kind until they are convicted.
func TestCheaters(t *testing.T) {
	const miners = 1_000
	rows := [][]string{{"1,000 cheaters", "convicted", "audits: mean", "median", "95 %", "jobs: mean", "95 %"}}
	for i, c := range []struct {
		name  string
		m     miner
		exact bool
		most  uint64 // audits, in the median
	}{
		{"every tenth result is wrong, and one is proof", miner{wrong: 100_000, proven: true}, true, 10},
		{"every tenth result is wrong, by the test alone", miner{wrong: 100_000}, true, 70},
		{"three of ten, by the test alone", miner{wrong: 300_000}, true, 20},
		{"all, by the test alone", miner{wrong: 1_000_000}, true, 4},
		{"every tenth, after 2,000 honest jobs, by the test alone", miner{wrong: 100_000, honestFor: 2_000}, true, 300},
		{"every tenth, inexact model", miner{wrong: 100_000}, false, 70},
		{"three of ten, inexact model whose audits find half", miner{wrong: 150_000, near: 0}, false, 45},
	} {
		r := rand.New(rand.NewPCG(7, uint64(i)))
		var audits, jobs []uint64
		convicted := 0
		for range miners {
			l := live(r, c.m, 1_000_000, c.exact, trust.Convict)
			if l.action == trust.Convict {
				convicted++
			}
			audits, jobs = append(audits, l.audits), append(jobs, l.jobs)
		}
		rows = append(rows, []string{c.name, comma(uint64(convicted)), comma(mean(audits)), comma(part(audits, 50)), comma(part(audits, 95)), comma(mean(jobs)), comma(part(jobs, 95))})
		if convicted != miners || part(audits, 50) > c.most {
			t.Errorf("%s: %d of %d convicted, half of them within %d audits; want %d", c.name, convicted, miners, part(audits, 50), c.most)
		}
	}
	measured.Block(t, document, "cheaters", measured.Table(rows), *update)
}

// TestOddHardware: miners whose results differ systematically, and little, for one model.
func TestOddHardware(t *testing.T) {
	const miners = 1_000
	rows := [][]string{{"1,000 honest miners on odd hardware", "unlisted for the model", "audits until then: mean", "95 %", "convicted in 20,000 jobs"}}
	for i, c := range []struct {
		name string
		near uint32
	}{{"every result near", 1_000_000}, {"half of them", 500_000}, {"every tenth", 100_000}} {
		r := rand.New(rand.NewPCG(8, uint64(i)))
		var audits []uint64
		unlisted, convicted := 0, 0
		for range miners {
			if l := live(r, miner{near: c.near}, 20_000, false, trust.Unlist); l.action == trust.Unlist {
				unlisted++
				audits = append(audits, l.audits)
			}
			if l := live(r, miner{near: c.near}, 20_000, false, trust.Convict); l.action == trust.Convict {
				convicted++
			}
		}
		rows = append(rows, []string{c.name, comma(uint64(unlisted)), comma(mean(audits)), comma(part(audits, 95)), comma(uint64(convicted))})
		if unlisted != miners || convicted > 0 {
			t.Errorf("%s: %d unlisted, %d convicted, of %d", c.name, unlisted, convicted, miners)
		}
	}
	measured.Block(t, document, "odd", measured.Table(rows), *update)
}

func mean(all []uint64) (m uint64) {
	for _, n := range all {
		m += n
	}
	return (m + uint64(len(all))/2) / uint64(max(len(all), 1))
}

// part is the value that so many percent do not exceed.
func part(all []uint64, percent int) uint64 {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[(len(all)-1)*percent/100]
}
