package comfyui

import (
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// The names of the graph's nodes that are looked at again.
const (
	loader = "CheckpointLoaderSimple"
	saver  = "save"
)

// node is one of the graph's in the server's format; an input is a value or a node's output.
type node struct {
	Class  string         `json:"class_type"`
	Inputs map[string]any `json:"inputs"`
}

func from(node string, output int) []any { return []any{node, output} }

// workflow is the graph: load, encode, sample, decode, keep for a while.
func workflow(checkpoint string, r engine.Request) map[string]node {
	return map[string]node{
		"load":     {loader, map[string]any{"ckpt_name": checkpoint}},
		"positive": {"CLIPTextEncode", map[string]any{"text": r.Prompt, "clip": from("load", 1)}},
		"negative": {"CLIPTextEncode", map[string]any{"text": "", "clip": from("load", 1)}},
		"empty":    {"EmptyLatentImage", map[string]any{"width": r.Width, "height": r.Height, "batch_size": 1}},
		"sample": {"KSampler", map[string]any{
			"model": from("load", 0), "positive": from("positive", 0), "negative": from("negative", 0), "latent_image": from("empty", 0),
			"seed": adapter.Seed(r.Seed), "steps": r.Steps, "cfg": 7, "sampler_name": "euler_ancestral", "scheduler": "normal", "denoise": 1,
		}},
		"decode": {"VAEDecode", map[string]any{"samples": from("sample", 0), "vae": from("load", 2)}},
		saver:    {"PreviewImage", map[string]any{"images": from("decode", 0)}}, // as a temporary file
	}
}
