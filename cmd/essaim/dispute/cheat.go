package dispute

import (
	"bytes"
	"context"
	"image"
	"image/draw"
	"image/png"
	"slices"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/quant"
)

// Cheat is the picture engine of a miner that cheats, for stories and tests: every red of its pictures is another one,
// in what it delivers as in what it says of the run when it defends itself.
type Cheat struct {
	*pixel.Engine
	Flip byte // bits of each red that are the wrong way round
}

// Run draws a wrong picture.
func (c Cheat) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	out, err := c.Engine.Run(ctx, r, progress)
	if err != nil {
		return out, err
	}
	p, err := png.Decode(bytes.NewReader(out.Data))
	if err != nil {
		return out, err
	}
	rgba := image.NewRGBA(p.Bounds())
	draw.Draw(rgba, p.Bounds(), p, image.Point{}, draw.Src)
	var rgb []byte
	for i := 0; i < len(rgba.Pix); i += 4 {
		rgba.Pix[i] ^= c.Flip
		rgb = append(rgb, rgba.Pix[i:i+3]...)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, rgba); err != nil {
		return out, err
	}
	out.Data, out.PixelsDigest = file.Bytes(), essaim.DigestOf(rgb)
	return out, nil
}

// RunTraced says of its last operator what Run delivers.
func (c Cheat) RunTraced(ctx context.Context, r engine.Request, watch func(quant.Op)) (engine.Result, error) {
	return c.Engine.RunTraced(ctx, r, func(o quant.Op) {
		if o.Operator.Kind() == "pose" {
			o.Out.Narrow = slices.Clone(o.Out.Narrow)
			for i := 0; i < len(o.Out.Narrow); i += 3 {
				o.Out.Narrow[i] ^= int16(c.Flip)
			}
		}
		watch(o)
	})
}
