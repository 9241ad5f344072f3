// Package picture shows pictures in a terminal, by whichever means the terminal has: Kitty's or
// iTerm's protocol, sixel, or coloured half blocks, which every terminal with colours can draw.
//
// It draws nothing that is not a terminal: a picture's file goes where the command writes it. It
// must not know what the picture is of.
package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"image/png"
	"io"
	"os"
	"strings"

	"github.com/BourgeoisBear/rasterm"
	"golang.org/x/term"
)

// Mode is how a terminal shows pictures.
type Mode int

const (
	none   Mode = iota // not a terminal: nothing
	blocks             // coloured half blocks, two pixels a character
	sixel
	kitty
	iterm // iTerm2, WezTerm and those that took over its protocol
)

// columnsOfBlocks is how wide half blocks draw a picture, in characters: it fits an
// 80-column terminal and still shows a 64-pixel model's every other pixel.
const columnsOfBlocks = 40

// Detect finds out what out can show. ESSAIM_PICTURES=kitty|iterm|sixel|blocks|none
// overrides; NO_COLOR and a dumb terminal mean none.
func Detect(out *os.File, getenv func(string) string) Mode {
	switch getenv("ESSAIM_PICTURES") {
	case "kitty":
		return kitty
	case "iterm":
		return iterm
	case "sixel":
		return sixel
	case "blocks":
		return blocks
	case "none":
		return none
	}
	switch {
	case !term.IsTerminal(int(out.Fd())) || getenv("TERM") == "dumb" || getenv("NO_COLOR") != "":
		return none
	case rasterm.IsTmuxScreen(): // multiplexers pass neither protocol through
		return blocks
	case rasterm.IsKittyCapable():
		return kitty
	case rasterm.IsItermCapable():
		return iterm
	case sixelTerminal(os.Stdin, out):
		return sixel
	}
	return blocks
}

// Show draws a PNG file's picture.
func Show(w io.Writer, mode Mode, file []byte) error {
	if mode == none {
		return nil
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return fmt.Errorf("show picture: %w", err)
	}
	switch mode {
	case kitty:
		err = rasterm.KittyCopyPNGInline(w, bytes.NewReader(file), rasterm.KittyImgOpts{})
	case iterm:
		err = rasterm.ItermCopyFileInline(w, bytes.NewReader(file), int64(len(file)))
	case sixel:
		p := image.NewPaletted(img.Bounds(), palette.Plan9)
		draw.FloydSteinberg.Draw(p, p.Bounds(), img, img.Bounds().Min)
		err = rasterm.SixelWriteImage(w, p)
	default:
		return writeBlocks(w, img, columnsOfBlocks)
	}
	if err == nil {
		_, err = fmt.Fprintln(w)
	}
	return err
}

// writeBlocks draws with the upper half block: its foreground is the upper pixel,
// its background the lower one. Each drawn pixel is the mean of those it covers.
func writeBlocks(w io.Writer, img image.Image, columns int) error {
	b := img.Bounds()
	rows := columns * b.Dy() / b.Dx()
	var s strings.Builder
	for y := 0; y+1 < rows; y += 2 {
		for x := range columns {
			u, l := mean(img, x, y, columns, rows), mean(img, x, y+1, columns, rows)
			fmt.Fprintf(&s, "\x1b[38;2;%d;%d;%dm\x1b[48;2;%d;%d;%dm▀", u.R, u.G, u.B, l.R, l.G, l.B)
		}
		s.WriteString("\x1b[0m\n")
	}
	_, err := io.WriteString(w, s.String())
	return err
}

func mean(img image.Image, x, y, columns, rows int) color.RGBA {
	b := img.Bounds()
	x0, x1 := b.Min.X+x*b.Dx()/columns, b.Min.X+max((x+1)*b.Dx()/columns, x*b.Dx()/columns+1)
	y0, y1 := b.Min.Y+y*b.Dy()/rows, b.Min.Y+max((y+1)*b.Dy()/rows, y*b.Dy()/rows+1)
	var r, g, bl, n uint32
	for py := y0; py < y1; py++ {
		for px := x0; px < x1; px++ {
			cr, cg, cb, _ := img.At(px, py).RGBA()
			r, g, bl, n = r+cr>>8, g+cg>>8, bl+cb>>8, n+1
		}
	}
	return color.RGBA{uint8(r / n), uint8(g / n), uint8(bl / n), 255}
}
