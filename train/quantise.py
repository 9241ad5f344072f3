"""Float weights to the integer weights of the product:  quantise.py MODEL.pt DATA_DIR OUT_DIR

OUT_DIR gets weights.bin and the words of the model; the manifest beside them is written by manifest.py:

  vocabulary.tsv    known words and how often captions use them (spelling table; anything else is unknown)
  joined.txt        names that hold a joining word or a number ("fork and knife"), which do not separate two things
  variants.tsv      words that may mean several things, of which the seed chooses
  tintable.txt      things whose colour the seed may choose
  testdata/reference.tsv   digests of pictures, which the engine must draw

Every matrix becomes int8 rows with an own multiplier each; every matrix input becomes int8 with one static scale a channel,
calibrated over all concepts in both languages and all styles; everything between is int32 with 12 fraction bits.
engine/pixel/doc.go defines the arithmetic.
"""
import hashlib
import os
import random
import sys

import numpy as np

from corpus import joined_names, load
from pixelmodel import CW, ONE, TAU, Float, develop_chroma, develop_luma, flow, open_model
from scales import channel_scales, multiplier
from tensors import write_tensors
from words import COLOURS, encode, words

def quantise(f):
    """Integer tensors of a calibrated Float (f.seen holds each input channel's largest value)."""
    p, t = f.p, {}

    def put(name, real):
        t[name + '.mul'], t[name + '.shift'] = multiplier(real)

    def matrix(name, w, unit_in):
        w = w.astype(np.float64) * unit_in
        unit = np.abs(w).max(1) / 127
        t[name + '.w'] = np.round(w / unit[:, None]).astype(np.int8)
        return unit

    def bias(name, b, unit):
        t[name + '.bias'] = np.round(b / unit).astype(np.int32)

    s = {k: channel_scales(v) for k, v in f.seen.items()}
    col = np.abs(p['emb.weight']).max(0) / 127
    t['text.table'] = np.round(p['emb.weight'] / col).astype(np.int8)
    put('text', col / ONE / s['text1'])
    for name, key, a, b in (('text1', 'e1', 'text1', 'text2'), ('text2', 'e2', 'text2', 'cond')):
        u = matrix(name, p[key + '.weight'], s[a])
        bias(name, p[key + '.bias'], u)
        put(name, u / s[b])
    u = matrix('cond', p['ci.weight'], s['cond'])
    bias('cond', p['ci.bias'], u)
    put('cond', u * ONE)
    for l in range(f.L):
        put(f'up{l}.pre', 1 / ONE / s[f'up{l}'])
        u = matrix(f'up{l}', p[f'a.{l}.weight'], s[f'up{l}'])
        bias(f'up{l}', p[f'a.{l}.bias'], u)
        put(f'up{l}', u / s[f'down{l}'])
        put(f'cond{l}', matrix(f'cond{l}', p[f'cb.{l}.weight'], s['cond']) / u)
        u = matrix(f'down{l}', p[f'b.{l}.weight'], s[f'down{l}'])
        bias(f'down{l}', p[f'b.{l}.bias'], u)
        put(f'down{l}', u * ONE)
    put('out.pre', 1 / ONE / s['out'])
    u = matrix('out', p['out.weight'], s['out'])
    bias('out', p['out.bias'], u)
    put('out', u * p['sig'] * ONE)
    weight, mean = p['U'].astype(np.float64) * p['scale'], p['mean'].astype(np.float64).copy()
    weight[4096:] /= CW
    mean[4096:] /= CW
    column = 1 / np.abs(weight).max(0)
    sb = column * np.max(f.seen['basis'] * 1.5 / column) / 16383
    put('basis.pre', 1 / ONE / sb)
    u = matrix('basis', weight, sb)
    bias('basis', mean, u)
    put('basis', u * ONE)
    for name, tau in zip(('flow.luma', 'flow.chroma'), TAU):       # index: difference + 1024 in 1/4096; 16 times the value
        t[name] = np.round(flow(np.arange(-1024, 1024) / ONE, tau) * ONE * 16).astype(np.int16)
    t['luma'] = np.round(develop_luma(np.arange(4097) / ONE) * 4080).astype(np.int16)
    t['chroma'] = np.round(develop_chroma(np.arange(-2048, 2048) / ONE) * 4080).astype(np.int16)
    return t


def balance(d):
    """The same function with hidden channels whose weights in the next layer are alike in size. A channel behind a ReLU may be
    any factor larger if the next layer's weights are as much smaller; training leaves these factors where they happen to be,
    and int8 rows suffer from channels that have large weights and hardly ever say anything."""
    def move(before, after):
        size = np.abs(np.concatenate([d[k + '.weight'] for k in after])).max(0)
        size = np.maximum(size, size.max() * 1e-3) / np.exp(np.log(np.maximum(size, size.max() * 1e-3)).mean())
        for k in before:
            d[k + '.weight'] = d[k + '.weight'] * size[:, None]
            if k + '.bias' in d:
                d[k + '.bias'] = d[k + '.bias'] * size
        for k in after:
            d[k + '.weight'] = d[k + '.weight'] / size
    blocks = range(sum(k.startswith('a.') and k.endswith('weight') for k in d))
    for l in blocks:
        move([f'a.{l}', f'cb.{l}'], [f'b.{l}'])
    move(['e2'], ['ci'] + [f'cb.{l}' for l in blocks])
    move(['e1'], ['e2'])
    return d


def open_checkpoint(path):
    """Float weights by name, balanced, and all that train.py wrote."""
    import torch
    D = torch.load(path, map_location='cpu')
    d = {k: v.float().numpy() for k, v in D['net'].items()}
    d.update({k: D[k].numpy() for k in ('U', 'mean', 'sd', 'sig', 'scale')})
    return balance(d), D


def calibrated(d, concepts, styles):
    """A Float that has noted the largest input of every channel, over every concept in both languages and again in a colour."""
    rng, f = random.Random(5), Float(d)
    caps = [words(t) for m in concepts.values() for t in (m['label'], m['fr'] or m['label'])]
    caps += [[rng.choice(list(COLOURS))] + [w for w in words(l) if w not in COLOURS] for l in concepts]
    batch = [encode(c, s) for c in caps for s in styles]
    f.seen = {}
    for i in range(0, len(batch), 256):
        f.latent(batch[i:i + 256])
    return f


def tintable(concepts):
    """Objects, and what else comes in any colour."""
    extra = 'automobile car voiture bu boat sailboat bicycle bike rocket airplane balloon house umbrella'.split()
    return sorted({' '.join(words(l)) for l, m in concepts.items() if m['group'] == 7} | set(extra))


REFERENCE = ('red apple;a cat and a red car;rde aple;elefant;voiture rose;rose rouge;three cats;fork and knife;tree;key;sun, tree and house;deux voitures bleues et un arbre;'
             'une orange;une robe orange;marron;chapeau marron;l’œuf d’or;ÉLÉPHANT, Noto;cafe\u0301 au lait;blue zorb and a cat;calendar;left arrow and right arrow;a fluent emoji flat dog;twemoji style pizza;'
             'four balloons, a cat, a dog;boat;fruit;umbrella;a robot with a guitar;bonhomme de neige;red red red red red red red red red red apple;zebra + lion & tiger;books').split(';')


def write_reference(folder):
    """Size, seed, SHA-256 of the RGB bytes, prompt."""
    paint = open_model(folder)
    with open(os.path.join(folder, 'testdata', 'reference.tsv'), 'w', encoding='utf-8') as f:
        for i, prompt in enumerate(REFERENCE * 2):
            seed, factor = i * 0x123456789ABCDEF % 2 ** 64, (1, 1, 4, 1, 8)[i % 5]
            rgb = paint.pictures([prompt], [seed], factor=factor)[0]
            f.write(f'{64 * factor}\t{seed}\t{hashlib.sha256(rgb.tobytes()).hexdigest()}\t{prompt}\n')


def main(model, data, out):
    os.makedirs(os.path.join(out, 'testdata'), exist_ok=True)
    d, D = open_checkpoint(model)
    concepts = {}
    for m in load(data, D['sets'])[0]:
        concepts.setdefault(m['label'], m)
    write_tensors(os.path.join(out, 'weights.bin'), quantise(calibrated(d, concepts, D['sets'])))

    def lines(name, rows):
        with open(os.path.join(out, name), 'w', encoding='utf-8') as f:
            f.writelines(r + '\n' for r in rows)
    lines('vocabulary.tsv', (f'{w}\t{n}' for w, n in sorted(D['vocabulary'].items())))
    lines('joined.txt', sorted(' '.join(j) for j in joined_names(concepts)))
    lines('variants.tsv', (f'{w}\t' + '|'.join(v) for w, v in sorted(D['variants'].items())))
    lines('tintable.txt', tintable(concepts))
    write_reference(out)


if __name__ == '__main__':
    main(*sys.argv[1:])
