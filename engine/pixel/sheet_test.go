package pixel_test

import (
	"bytes"
	"flag"
	"image"
	"image/draw"
	"image/png"
	"os"
	"strings"
	"testing"

	"github.com/essaim/essaim/engine"
)

var (
	sheet        = flag.String("sheet", "", "draw a contact sheet of -sheet.prompts in both styles to this PNG file, relative to this folder")
	sheetPrompts = flag.String("sheet.prompts", known, "prompts of -sheet, with semicolons between them")
	sheetSize    = flag.Int("sheet.size", 64, "side of each picture of -sheet: 64, 256 or 512")
)

// known are the 40 everyday prompts by which the training run was judged.
const known = "red apple;cat face;blue heart;pizza;sun;house with garden;rocket;dog face;tree;airplane;coeur rouge;visage de chat;" +
	"banana;strawberry;car;bicycle;fish;butterfly;mushroom;crown;elephant;star;rainbow;fire;ghost;robot;key;umbrella;guitar;soccer ball;" +
	"book;balloon;hamburger;ice cream;rose;moon;snowman;boat;pomme verte;smiling face"

// TestSheet draws rows of 20 prompts, each row in both styles.
func TestSheet(t *testing.T) {
	if *sheet == "" {
		t.Skip("no -sheet")
	}
	e, m := open(t)
	prompts := strings.Split(*sheetPrompts, ";")
	columns, n := min(len(prompts), 20), *sheetSize
	out := image.NewRGBA(image.Rect(0, 0, columns*n, (len(prompts)+columns-1)/columns*2*n))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	for i, prompt := range prompts {
		for j, style := range []string{"noto", "fluent"} {
			got, err := e.Run(t.Context(), engine.Request{Model: m.Digest, Prompt: style + " " + prompt, Seed: 11, Width: n, Height: n}, nil)
			if err != nil {
				t.Fatal(err)
			}
			picture, err := png.Decode(bytes.NewReader(got.Data))
			if err != nil {
				t.Fatal(err)
			}
			at := image.Pt(i%columns*n, (i/columns*2+j)*n)
			draw.Draw(out, image.Rectangle{at, at.Add(image.Pt(n, n))}, picture, image.Point{}, draw.Src)
		}
	}
	var file bytes.Buffer
	if err := png.Encode(&file, out); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*sheet, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
