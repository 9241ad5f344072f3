# Draws with the package "webuiapi" of PyPI and prints what it saw: "seen" as soon as a picture shows in the
# progress, then JSON. Usage: python3 a1111.py HOST PORT API-KEY
import concurrent.futures
import hashlib
import json
import sys

import webuiapi

host, port, key = sys.argv[1:]


def client(password):
    api = webuiapi.WebUIApi(host=host, port=int(port))
    api.set_auth("anybody", password)
    return api


def failure(what):
    try:
        what()
    except RuntimeError as e:
        return e.args[0]


def pixels(image):
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


api = client(key)
out = {"models": api.util_get_model_names(), "samplers": api.util_get_sampler_names()}
title = api.get_sd_models()[0]["title"]
ask = {"prompt": "a red apple", "width": 32, "height": 32, "steps": 2, "override_settings": {"sd_model_checkpoint": title}}
with concurrent.futures.ThreadPoolExecutor(1) as pool:
    drawn = pool.submit(api.txt2img, seed=11, n_iter=2, **ask)
    while (progress := api.get_progress())["state"]["job"] != "txt2img":
        pass
    print("seen", flush=True)
    result = drawn.result()
out["jobs"] = progress["state"]["job_count"]
out["pixels"] = [pixels(image) for image in result.images]
out["seeds"] = result.info["all_seeds"]
out["prices"] = [origin["price"] for origin in result.info["essaim"]]
out["after"] = api.get_progress()["state"]["job"]
begun = api.img2img(images=[result.image], denoising_strength=0.4, seed=12, **ask)
out["begun"] = list(begun.image.size)
out["noKey"] = failure(lambda: client("nonsense").txt2img(**ask))
out["badSize"] = failure(lambda: api.txt2img(prompt="a red apple", width=31, height=31))
out["unknownModel"] = failure(lambda: api.txt2img(prompt="a red apple", override_settings={"sd_model_checkpoint": "dall-e-9"}))
print(json.dumps(out))
