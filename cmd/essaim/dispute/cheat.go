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

// cheat is the picture engine with one number of its last operator wrong by one, in what it delivers as in what it
// says of it.
type cheat struct{ *pixel.Engine }

const spoilt = 3 * 1000 // the red of a pixel

func (c cheat) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
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
	rgba.Pix[spoilt/3*4] ^= 1
	var file bytes.Buffer
	if err := png.Encode(&file, rgba); err != nil {
		return out, err
	}
	var rgb []byte
	for i := 0; i < len(rgba.Pix); i += 4 {
		rgb = append(rgb, rgba.Pix[i:i+3]...)
	}
	out.Data, out.PixelsDigest = file.Bytes(), essaim.DigestOf(rgb)
	return out, nil
}

func (c cheat) RunTraced(ctx context.Context, r engine.Request, watch func(quant.Op)) (engine.Result, error) {
	return c.Engine.RunTraced(ctx, r, func(o quant.Op) {
		if o.Operator.Kind() == "pose" {
			o.Out.Narrow = slices.Clone(o.Out.Narrow)
			o.Out.Narrow[spoilt] ^= 1
		}
		watch(o)
	})
}
