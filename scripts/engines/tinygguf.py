#!/usr/bin/env python3
"""Writes a language model of random numbers: two layers, 300 kB, for tests of engines that
read GGUF. It says nothing sensible, and the same to everybody. Needs nothing but Python.

    scripts/engines/tinygguf.py tiny.gguf
"""
import array
import random
import struct
import sys

ARCH, WIDTH, HIDDEN, LAYERS, HEADS, CONTEXT = "llama", 64, 128, 2, 4, 512
UINT32, FLOAT32, INT32, STRING, ARRAY = 4, 6, 5, 8, 9
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6

WORDS = "the a cat dog is red blue apple house hello world and of in to it sun".split()
TOKENS = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
TOKENS += [(f"<0x{i:02X}>", BYTE) for i in range(256)]
TOKENS += [("▁", NORMAL)]
TOKENS += [(c, NORMAL) for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?"]
TOKENS += [("▁" + w, NORMAL) for w in WORDS]


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    if kind == STRING:
        return text(v)
    return struct.pack({UINT32: "<I", FLOAT32: "<f", INT32: "<i"}[kind], v)


def key(name, kind, v):
    return text(name) + struct.pack("<I", kind) + value(kind, v)


def keys(name, kind, list_):
    head = text(name) + struct.pack("<IIQ", ARRAY, kind, len(list_))
    return head + b"".join(value(kind, v) for v in list_)


def tensors():
    """Name, shape (outermost first) and numbers of each."""
    rand = random.Random(0)

    def noise(name, *shape):
        n = 1
        for s in shape:
            n *= s
        return name, shape, array.array("f", (rand.gauss(0, 0.3) for _ in range(n)))

    def ones(name, n):
        return name, (n,), array.array("f", [1.0] * n)

    yield noise("token_embd.weight", len(TOKENS), WIDTH)
    for i in range(LAYERS):
        p = f"blk.{i}."
        yield ones(p + "attn_norm.weight", WIDTH)
        for n in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield noise(p + n + ".weight", WIDTH, WIDTH)
        yield ones(p + "ffn_norm.weight", WIDTH)
        yield noise(p + "ffn_gate.weight", HIDDEN, WIDTH)
        yield noise(p + "ffn_up.weight", HIDDEN, WIDTH)
        yield noise(p + "ffn_down.weight", WIDTH, HIDDEN)
    yield ones("output_norm.weight", WIDTH)
    yield noise("output.weight", len(TOKENS), WIDTH)


def main():
    meta = [
        key("general.architecture", STRING, ARCH),
        key("general.name", STRING, "tiny-random"),
        key("general.file_type", UINT32, 0),
        key(ARCH + ".context_length", UINT32, CONTEXT),
        key(ARCH + ".embedding_length", UINT32, WIDTH),
        key(ARCH + ".block_count", UINT32, LAYERS),
        key(ARCH + ".feed_forward_length", UINT32, HIDDEN),
        key(ARCH + ".vocab_size", UINT32, len(TOKENS)),
        key(ARCH + ".attention.head_count", UINT32, HEADS),
        key(ARCH + ".attention.head_count_kv", UINT32, HEADS),
        key(ARCH + ".rope.dimension_count", UINT32, WIDTH // HEADS),
        key(ARCH + ".attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
        key("tokenizer.ggml.model", STRING, "llama"),
        keys("tokenizer.ggml.tokens", STRING, [t for t, _ in TOKENS]),
        keys("tokenizer.ggml.scores", FLOAT32, [0.0 if i < 3 else -float(i) for i in range(len(TOKENS))]),
        keys("tokenizer.ggml.token_type", INT32, [k for _, k in TOKENS]),
        key("tokenizer.ggml.bos_token_id", UINT32, 1),
        key("tokenizer.ggml.eos_token_id", UINT32, 2),
        key("tokenizer.ggml.unknown_token_id", UINT32, 0),
    ]
    info, data, count = b"", b"", 0
    for name, shape, numbers in tensors():
        info += text(name) + struct.pack("<I", len(shape))
        info += b"".join(struct.pack("<Q", n) for n in reversed(shape))
        info += struct.pack("<IQ", 0, len(data))  # 0: 32-bit floats
        if sys.byteorder == "big":
            numbers.byteswap()
        b = numbers.tobytes()
        data += b + b"\0" * (-len(b) % 32)
        count += 1
    head = b"GGUF" + struct.pack("<IQQ", 3, count, len(meta)) + b"".join(meta) + info
    head += b"\0" * (-len(head) % 32)
    with open(sys.argv[1], "wb") as f:
        f.write(head + data)


if __name__ == "__main__":
    main()
