package pixel_test

import (
	"bytes"
	"flag"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
)

var sheets = flag.String("sheets", "", "draw the contact sheets of docs/pixel.md to this folder, relative to this one")

// A contactSheet is blocks of columns, each block a row of prompts a seed or style.
var contactSheets = []struct {
	name    string
	size    int // of each picture
	columns int
	styles  []string // a row each; empty: the seeds choose
	seeds   []uint64 // a row each
	prompts string
}{
	{"known", 64, 16, nil, []uint64{1, 3, 6, 12},
		"red apple;cat face;blue heart;pizza;sun;house with garden;rocket;dog face;tree;airplane;banana;strawberry;car;bicycle;fish;butterfly;" +
			"mushroom;crown;elephant;star;rainbow;fire;ghost;robot;key;umbrella;guitar;soccer ball;book;balloon;hamburger;ice cream;" +
			"rose;moon;snowman;boat;smiling face;owl;octopus;penguin;lion;horse;turtle;bee;cactus;sunflower;carrot;cheese;" +
			"birthday cake;coffee;wine;train;bus;castle;mountain;volcano;trophy;drum;hammer;candle;clock;camera;gift;unicorn"},
	{"colours", 64, 20, []string{"noto", "fluent", "twemoji"}, []uint64{1},
		"purple apple;green dog face;blue pizza;red cat face;pink tree;yellow car;green rocket;purple house;blue banana;red fish;green rose;black mushroom;" +
			"blue fire;pink airplane;orange butterfly;red moon;purple bicycle;green crown;blue strawberry;yellow elephant"},
	{"french", 64, 16, nil, []uint64{5, 4},
		"une maison;le soleil;un chat noir;une voiture verte;fusée;cheval;des fraises;éléphant;gâteau d’anniversaire;château;pingouin;pieuvre rose;vélo;parapluie rouge;rose rouge;voiture rose"},
	{"slips", 64, 16, nil, []uint64{2, 8},
		"rde aple;elefant;bannana;guittar;hosue;umbrela;strawbery;butterflly;rockett;vioture;piza;mushrom;snowmen;fisch;chapeu;pinguin"},
	{"scenes", 256, 5, nil, []uint64{1, 3},
		"a cat and a red car;a red house with a blue tree;un chien et une pomme verte;a ghost, a pumpkin and a moon;four balloons"},
	{"failures", 256, 5, nil, []uint64{1},
		"blue zorb;a cat in a hat;green rocket;pink airplane;purple bicycle;shell;comet;books;treasure chest;a dog riding a horse"},
}

// TestSheets draws the sheets of the documentation.
func TestSheets(t *testing.T) {
	if *sheets == "" {
		t.Skip("no -sheets")
	}
	e, m := open(t)
	for _, s := range contactSheets {
		prompts := strings.Split(s.prompts, ";")
		rows := max(len(s.styles), len(s.seeds))
		out := image.NewRGBA(image.Rect(0, 0, s.columns*s.size, len(prompts)/s.columns*rows*s.size))
		for i, prompt := range prompts {
			for row := range rows {
				r := engine.Request{Model: m.Digest, Prompt: prompt, Seed: s.seeds[row%len(s.seeds)], Width: s.size, Height: s.size}
				if len(s.styles) > 0 {
					r.Prompt = s.styles[row] + " " + prompt
				}
				at := image.Pt(i%s.columns, i/s.columns*rows+row).Mul(s.size)
				draw.Draw(out, image.Rectangle{at, at.Add(image.Pt(s.size, s.size))}, drawn(t, e, r), image.Point{}, draw.Src)
			}
		}
		for i := range out.Pix {
			out.Pix[i] |= 7 // 32 levels: half the file
		}
		var file bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&file, out); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*sheets, "pixel-"+s.name+".png"), file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func drawn(t *testing.T, e *pixel.Engine, r engine.Request) image.Image {
	t.Helper()
	got, err := e.Run(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) > 0 {
		t.Logf("%s: %s", r.Prompt, strings.Join(got.Warnings, "; "))
	}
	picture, err := png.Decode(bytes.NewReader(got.Data))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}
