package all_test

import (
	"testing"

	"github.com/essaim/essaim/engine/all"
)

func TestNamesAreThoseOfTheEngines(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range all.Registry() {
		if d.Name == "" || d.Summary == "" || seen[d.Name] {
			t.Errorf("driver %+v lacks a name of its own or a summary", d)
		}
		seen[d.Name] = true
	}
	engines, err := all.Engines()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range engines {
		d, err := all.Find(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := d.Open(""); err != nil || again.Name() != d.Name {
			t.Errorf("%s: opens %v, %v", d.Name, again, err)
		}
	}
	if _, err := all.Find("nothing"); err == nil {
		t.Error("an unknown engine is found")
	}
}
