package comfyui

import (
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// The names of the graph's nodes that are looked at again.
const (
	loader  = "CheckpointLoaderSimple"
	saver   = "save"
	sampler = "sample"
)

// node is one of the graph's in the server's format; an input is a value or a node's output.
type node struct {
	Class  string         `json:"class_type"`
	Inputs map[string]any `json:"inputs"`
}

func from(node string, output int) []any { return []any{node, output} }

// workflow is the graph: load, encode, sample, decode, keep for a while. init is the file to begin with, as the server has
// it; "": with an empty picture.
func workflow(checkpoint string, r engine.Request, init string) map[string]node {
	begin, denoise := "empty", 1.0
	if init != "" {
		begin, denoise = "encode", float64(r.Strength)/1000
	}
	g := map[string]node{
		"load":     {loader, map[string]any{"ckpt_name": checkpoint}},
		"positive": {"CLIPTextEncode", map[string]any{"text": r.Prompt, "clip": from("load", 1)}},
		"negative": {"CLIPTextEncode", map[string]any{"text": "", "clip": from("load", 1)}},
		sampler: {"KSampler", map[string]any{
			"model": from("load", 0), "positive": from("positive", 0), "negative": from("negative", 0), "latent_image": from(begin, 0),
			"seed": adapter.Seed(r.Seed), "steps": r.Steps, "cfg": 7, "sampler_name": "euler_ancestral", "scheduler": "normal", "denoise": denoise,
		}},
		"decode": {"VAEDecode", map[string]any{"samples": from("sample", 0), "vae": from("load", 2)}},
		saver:    {"PreviewImage", map[string]any{"images": from("decode", 0)}}, // as a temporary file
	}
	if init == "" {
		g[begin] = node{"EmptyLatentImage", map[string]any{"width": r.Width, "height": r.Height, "batch_size": 1}}
		return g
	}
	g["init"] = node{"LoadImage", map[string]any{"image": init}}
	g["scale"] = node{"ImageScale", map[string]any{"image": from("init", 0), "upscale_method": "bilinear", "width": r.Width, "height": r.Height, "crop": "center"}}
	g[begin] = node{"VAEEncode", map[string]any{"pixels": from("scale", 0), "vae": from("load", 2)}}
	return g
}
