#!/usr/bin/env python3
"""llama.cpp's own server, as the package xllamacpp of PyPI has it built, until standard input ends.
python3 llamacpp.py MODEL.gguf [embed]; prints its address. With embed it makes vectors and no text."""
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"tiny"}
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx, params.n_parallel = 1024, 4
params.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
if sys.argv[2:] == ["embed"]:
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
