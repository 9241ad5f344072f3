# A client of stable diffusion's web interface, unmodified, asks a gateway for a picture.
#   python3 client.py HOST PORT API-KEY PICTURE-MODEL
import sys

import webuiapi

host, port, key, model = sys.argv[1:]
api = webuiapi.WebUIApi(host=host, port=int(port))
api.set_auth("user", key)
title = next(m["title"] for m in api.get_sd_models() if m["model_name"] == model)
out = api.txt2img(prompt="a blue fish", seed=9, width=64, height=64, steps=2, override_settings={"sd_model_checkpoint": title})
origin = out.info["essaim"][0]
print(f"{'webuiapi (py)':14} picture {out.image.size[0]}x{out.image.size[1]} for {origin['price']} uaim")
print(f"{'':14} receipt {origin['receipt']}")
