"""Float weights to the integer weights of the product:

  quantise.py FLOAT.npz OUT_DIR [--report] [--sheet FILE.png] [--golden FILE.tsv]

OUT_DIR gets weights.bin; the manifest beside it is written by manifest.py. Every matrix becomes int8 rows with an own
multiplier each; every matrix input becomes int8 with one static scale a channel, calibrated over the concepts of
concepts.txt; everything between is int32 with 12 fraction bits. engine/pixel/doc.go defines the arithmetic.
"""
import argparse
import hashlib
import os
import random

import numpy as np

import pixelmodel as pm
from prompts import COLOURS, KNOWN
from scales import channel_scales, multiplier
from tensors import write_tensors

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = (2, 3, 4)
ONE = 4096                  # 1 with 12 fraction bits

STRANGE = ['Une MAISON à la forêt enneigée, avec des élèves', 'zorbify', 'voiture verte', 'œuf d’or',
           'one two three four five six seven eight nine ten eleven twelve', 'ÉLÉPHANT', 'a' * 80, 'cafe\u0301 au lait']


def calibration():
    """Prompts as people write them: every concept in both languages, and as many with a colour."""
    rng = random.Random(1)
    lines = open(os.path.join(HERE, 'concepts.txt'), encoding='utf-8').read().splitlines()
    plain = [t for line in lines for t in line.split('\t') if t]
    return plain + [rng.choice(list(COLOURS)) + ' ' + line.split('\t')[0] for line in lines]


class Builder:
    def __init__(self, model):
        self.m, self.t = model, {}

    def put_multiplier(self, name, real):
        self.t[name + '.mul'], self.t[name + '.shift'] = multiplier(real)

    def matrix(self, name, w, unit_in):
        """int8 rows; returns what one unit of each row's sum is worth."""
        w = w * unit_in
        unit = np.abs(w).max(1) / 127
        self.t[name + '.w'] = np.round(w / unit[:, None]).astype(np.int8)
        return unit

    def bias(self, name, b, unit):
        self.t[name + '.bias'] = np.round(b / unit).astype(np.int32)

    def scales(self, name):
        return channel_scales(self.m.seen[name])

    def text(self):
        p, t = self.m.p, self.t
        col = np.abs(p['emb.weight']).max(0) / 127
        t['text.table'] = np.round(p['emb.weight'] / col).astype(np.int8)
        s1, s2 = self.scales('text1'), self.scales('text2')
        sc = self.scales('cond')
        self.put_multiplier('text', col / ONE / s1)
        for name, key, s_in, s_out in (('text1', 'e1', s1, s2), ('text2', 'e2', s2, sc)):
            u = self.matrix(name, p[key + '.weight'], s_in)
            self.bias(name, p[key + '.bias'], u)
            self.put_multiplier(name, u / s_out)
        return sc

    def trunk(self, sc):
        p = self.m.p
        moments = [i / n for n in STEPS for i in range(n)]
        time = np.stack([self.m.time(t) for t in moments])
        s = self.scales('in')
        self.put_multiplier('in.pre', np.stack([pm.precond(t, self.m.sig)[0] for t in moments]) / ONE / s)
        u = self.matrix('in', p['inp.weight'], s)
        self.bias('in', p['inp.bias'], u)
        self.put_multiplier('in', u * ONE)
        self.put_multiplier('cond', self.matrix('cond', p['ci.weight'], sc) * ONE)
        for l in range(4):
            s, sh = self.scales(f'up{l}'), self.scales(f'down{l}')
            self.put_multiplier(f'up{l}.pre', 1 / ONE / s)
            u = self.matrix(f'up{l}', p[f'a.{l}.weight'], s)
            self.t[f'up{l}.time'] = np.round((time[:, l] + p[f'a.{l}.bias']) / u).astype(np.int32)
            self.put_multiplier(f'up{l}', u / sh)
            self.put_multiplier(f'cond{l}', self.matrix(f'cond{l}', p[f'cb.{l}.weight'], sc) / u)
            u = self.matrix(f'down{l}', p[f'b.{l}.weight'], sh)
            self.bias(f'down{l}', p[f'b.{l}.bias'], u)
            self.put_multiplier(f'down{l}', u * ONE)
        self.head(moments)

    def head(self, moments):
        """Out matrix and sampler: estimate = skip z + gain F, z += rate (estimate - z)."""
        p = self.m.p
        s = self.scales('out')
        self.put_multiplier('out.pre', 1 / ONE / s)
        u = self.matrix('out', p['out.weight'], s)
        self.bias('out', p['out.bias'], u)
        const = [pm.precond(t, self.m.sig) for t in moments]
        self.put_multiplier('out', np.stack([pm.BOOST * co * u * ONE for _, _, co in const]))
        self.put_multiplier('skip', np.stack([cs for _, cs, _ in const]))
        self.t['rate'] = np.array([round(65536 / (n - i)) for n in STEPS for i in range(n)], np.int32)

    def basis(self):
        """Coefficients are 15 bits wide here: their ranges differ by 100 and they cost no more multiplications."""
        p, m = self.m.p, self.m
        weight = p['U'] * m.scale
        weight[4096:] /= pm.CW
        mean = p['mean'].copy()
        mean[4096:] /= pm.CW
        column = 1 / np.abs(weight).max(0)
        s = column * np.max(m.seen['basis'] * 1.5 / column) / 16383
        self.put_multiplier('basis.pre', 1 / ONE / s)
        u = self.matrix('basis', weight, s)
        self.bias('basis', mean, u)
        self.put_multiplier('basis', u * ONE)

    def develop(self):
        y = pm.develop_luma(np.arange(4097) / ONE)
        c = pm.develop_chroma(np.arange(-2048, 2048) / ONE)
        self.t['luma'] = np.round(y * 4080).astype(np.int16)
        self.t['chroma'] = np.round(c * 4080).astype(np.int16)


def calibrated(path):
    model = pm.Float(path)
    batch = [pm.encode(pm.words(p), s) for p in calibration() for s in pm.STYLES]
    model.seen = {}
    for i in range(0, len(batch), 256):
        part = batch[i:i + 256]
        z = np.stack([pm.noise(i + j) for j in range(len(part))]) / ONE
        for steps in STEPS:
            model.latent(part, z, steps)
    return model


def integers(model):
    b = Builder(model)
    b.trunk(b.text())
    b.basis()
    b.develop()
    return b.t


def psnr(a, b):
    e = ((a.astype(float) - b.astype(float)) ** 2).mean((1, 2, 3))
    return 10 * np.log10(255 ** 2 / np.maximum(e, 1e-9))


def report(model, tensors, sheet):
    model.seen = None
    integer = pm.Integer(tensors)
    batch = [pm.encode(pm.words(p), s) for s in pm.STYLES for p in KNOWN]
    seeds = [11] * 40 + [12] * 40
    for steps in STEPS:
        want, got = model.pictures(batch, seeds, steps), integer.pictures(batch, seeds, steps)
        q = psnr(want, got)
        print(f'{steps} steps: PSNR integer to float over {len(q)} known pictures: median {np.median(q):.1f} dB, '
              f'min {q.min():.1f} dB ({(KNOWN * 2)[q.argmin()]}), sha256 {hashlib.sha256(got.tobytes()).hexdigest()[:16]}')
        if sheet and steps == 2:
            draw_sheet(want, got, sheet)


def write_golden(tensors, path):
    """What engine/pixel must draw, 64 x 64 and not mirrored: steps, seed, style, SHA-256 of the RGB bytes, prompt."""
    integer = pm.Integer(tensors)
    with open(path, 'w', encoding='utf-8') as f:
        for i, (prompt, style) in enumerate((p, s) for p in KNOWN[:20] + STRANGE for s in pm.STYLES):
            steps, seed = STEPS[i % len(STEPS)], i * 0x123456789ABCDEF % 2 ** 64
            rgb = integer.pictures([pm.encode(pm.words(prompt), style)], [seed], steps)
            f.write(f'{steps}\t{seed}\t{style}\t{hashlib.sha256(rgb.tobytes()).hexdigest()}\t{prompt}\n')


def draw_sheet(want, got, path):
    """Rows in turn: float, integer."""
    from PIL import Image
    rows = [x for i in range(0, len(got), 20) for x in (want[i:i + 20], got[i:i + 20])]
    Image.fromarray(np.concatenate([np.concatenate(list(r), 1) for r in rows])).save(path)


if __name__ == '__main__':
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('float')
    a.add_argument('out')
    a.add_argument('--report', action='store_true')
    a.add_argument('--sheet', help='a picture: rows in turn float, integer')
    a.add_argument('--golden', help='a file for the tests of engine/pixel')
    a = a.parse_args()
    model = calibrated(a.float)
    tensors = integers(model)
    path = os.path.join(a.out, 'weights.bin')
    write_tensors(path, tensors)
    print(path, os.path.getsize(path), 'bytes, sha256', hashlib.sha256(open(path, 'rb').read()).hexdigest())
    if a.golden:
        write_golden(tensors, a.golden)
    if a.report or a.sheet:
        report(model, tensors, a.sheet)
