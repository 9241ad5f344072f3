"""The shipped integer weights as float weights to go on training from:  restore.py MODEL_DIR OUT.pt

For train.py --resume, when the checkpoint that the product was made of is lost. A unit that quantise.py divided out again
(of channels behind a ReLU, and of the text table's columns) cannot be known; it is chosen as SmoothQuant chose it, up to one
factor a layer that evens out the sizes of the matrices before and after it. The function is the same either way.
"""
import os
import random
import sys

import numpy as np
import torch

from pixelmodel import CW, ONE, Integer, open_lexicon
from tensors import read_tensors
from words import COLOURS, STYLES, encode, words


class Watched(Integer):
    """Notes the largest int8 of every channel."""

    def __init__(self, tensors):
        super().__init__(tensors)
        self.top = {}

    def product(self, name, x):
        self.top[name] = np.maximum(self.top.get(name, 1), np.abs(x).max(0))
        return super().product(name, x)


def restore(folder):
    t = read_tensors(os.path.join(folder, 'weights.bin'))
    net, lex, rng = Watched(t), open_lexicon(folder), random.Random(5)
    names = sorted(lex.count) + [' '.join(j) for j in lex.joined]
    batch = [encode(words(n), rng.choice(STYLES)) for n in names] + [encode([rng.choice(list(COLOURS))] + words(n), rng.choice(STYLES)) for n in names]
    for i in range(0, len(batch), 200):
        net.latent(batch[i:i + 200])

    def mul(name):
        return t[name + '.mul'] / 2. ** int(t[name + '.shift'][0])

    def free(name):             # a unit a channel, alike in shape to the one that is lost: see scales.FLOOR
        return np.maximum(net.top[name], 63.5) / 127 ** 2.

    def put(key, name, unit, s, extra=1.):
        out[key + '.weight'] = t[name + '.w'] * unit[:, None] / s * extra
        if name + '.bias' in t:
            out[key + '.bias'] = t[name + '.bias'] * unit * extra

    out, L = {}, net.L
    s1, s2, c = free('text1'), free('text2'), free('cond')
    out['emb.weight'] = t['text.table'] * (mul('text') * ONE * s1)
    put('e1', 'text1', mul('text1') * s2, s1)
    put('e2', 'text2', mul('text2') * c, s2)
    put('ci', 'cond', mul('cond') / ONE, c)
    for l in range(L):
        s, h = 1 / ONE / mul(f'up{l}.pre'), free(f'down{l}')
        u = mul(f'up{l}') * h
        put(f'a.{l}', f'up{l}', u, s)
        put(f'cb.{l}', f'cond{l}', mul(f'cond{l}') * u, c)
        put(f'b.{l}', f'down{l}', mul(f'down{l}') / ONE, h)
    basis = t['basis.w'] * (mul('basis') / ONE)[:, None] * (ONE * mul('basis.pre'))
    mean = t['basis.bias'] * (mul('basis') / ONE)
    basis[4096:] *= CW
    mean[4096:] *= CW
    scale = np.linalg.norm(basis, axis=0)                       # U's columns have length 1
    sd = scale ** 2 / np.mean(scale ** 2) ** .5
    put('out', 'out', mul('out') / ONE, 1 / ONE / mul('out.pre'), 1.)
    sig = sd ** .5 / np.mean(sd) ** .5
    out['out.weight'] /= sig[:, None]
    out['out.bias'] /= sig
    even(out, L)
    keep = {k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in out.items()}
    tops = {f'{k[:-7]}.top': torch.zeros(()) for k in keep if k.endswith('.weight') and k != 'emb.weight'}
    rest = dict(U=basis / scale, mean=mean, sd=sd, sig=sig, scale=scale)
    return dict(net={**keep, **tops}, **{k: torch.from_numpy(v.astype(np.float32)) for k, v in rest.items()})


def even(p, L):
    """Moves one factor a layer between a matrix and the next, which a ReLU between them does not notice."""
    def size(k):
        return np.sqrt(np.mean(p[k + '.weight'] ** 2) * p[k + '.weight'].shape[1])

    def move(before, after):
        f = np.sqrt(np.prod([size(k) for k in after]) ** (1 / len(after)) / np.prod([size(k) for k in before]) ** (1 / len(before)))
        for k in before:
            p[k + '.weight'] = p[k + '.weight'] * f
            if k + '.bias' in p:
                p[k + '.bias'] = p[k + '.bias'] * f
        for k in after:
            p[k + '.weight'] = p[k + '.weight'] / f
    f = .3 / np.std(p['emb.weight'])
    p['emb.weight'], p['e1.weight'] = p['emb.weight'] * f, p['e1.weight'] / f
    for _ in range(3):
        move(['e1'], ['e2'])
        move(['e2'], ['ci'] + [f'cb.{l}' for l in range(L)])
        for l in range(L):
            move([f'a.{l}', f'cb.{l}'], [f'b.{l}'])


if __name__ == '__main__':
    torch.save(restore(sys.argv[1]), sys.argv[2])
