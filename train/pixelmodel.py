"""The picture model twice: in floats as it was trained, in integers as it is shipped.

Float is the reference of quality, Integer the reference of bits: it is an independent numpy implementation of what
engine/pixel computes and must give the same pictures (quantise.py --report prints their SHA-256; the Go tests hold the
same digests). Both take the same noise and the same text, so that their difference is that of the arithmetic alone.
"""
import re
import unicodedata
import zlib

import numpy as np

# ---------------------------------------------------------------- text

STOP = set('a an the of with un une de la le les des du d l avec au aux a et and in on'.split())
ALIAS = {'gray': 'grey', 'violette': 'violet', 'verte': 'vert', 'bleue': 'bleu', 'noire': 'noir', 'blanche': 'blanc',
         'grise': 'gris', 'brun': 'marron', 'brune': 'marron'}
ROWS, MAX_WORDS, MAX_LETTERS = 8192, 10, 32
STYLES = ('noto', 'fluent-emoji-flat')
ROOT = [0] + [int(4096 / n ** .5 + .5) for n in range(1, 64)]     # n^-1/2, 12 fraction bits


def words(text):
    """Lower case, no accents, no stop words, no plural s or x, at most ten words."""
    s = unicodedata.normalize('NFKD', text.lower().replace('œ', 'oe').replace('’', ' ').replace("'", ' '))
    s = re.sub('[^a-z0-9]+', ' ', ''.join(c for c in s if not unicodedata.combining(c)))
    out = []
    for w in s.split():
        if w in STOP:
            continue
        if len(w) > 3 and w[-1] in 'sx' and not w.endswith('ss'):
            w = w[:-1]
        out.append(ALIAS.get(w, w))
    return out[:MAX_WORDS]


def row(kind, s):
    return zlib.crc32((kind + s).encode()) % ROWS


def encode(ws, style):
    """Rows of the text table and their weights with 12 fraction bits, for normalised words."""
    ids, wt = [], []
    for w in ws:
        w = w[:MAX_LETTERS]
        p = '<' + w + '>'
        grams = sorted({p[i:i + n] for n in (3, 4) for i in range(len(p) - n + 1)})
        ids += [row('1', w), row('2', w)] + [row('g', g) for g in grams]
        share = ROOT[len(ws)]
        wt += [share, share] + [(ROOT[len(grams)] * share + 2048) >> 12] * len(grams)
    if not ws:
        ids.append(row('s', 'null'))
        wt.append(4096)
    ids.append(row('s', style))
    wt.append(4096)
    return np.array(ids), np.array(wt, np.int64)


# ---------------------------------------------------------------- noise and choices

MASK = (1 << 64) - 1


def mix(x):
    """The finaliser of SplitMix64."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def draw(seed, i):
    """The i-th 64 random bits of a seed: SplitMix64's i-th output, computed without the others."""
    return mix((mix(seed & MASK) + (i + 1) * 0x9E3779B97F4A7C15) & MASK)


NOISE_MUL = round(4096 / (8 * (65536 - 1) / 12) ** .5 * 1024)      # sum of 8 bytes -> deviation 1 with 12 fraction bits


def noise(seed, n=512):
    """n values of mean 0 and deviation 1, 12 fraction bits: each a sum of eight uniform bytes."""
    s = [sum(draw(seed, i).to_bytes(8, 'little')) - 1020 for i in range(n)]
    return requantise(np.array(s, np.int64), NOISE_MUL, 10)


# ---------------------------------------------------------------- floats

CW = 1.3            # weight of a half-resolution chroma sample against a luma sample in the basis
BOOST = 1.4


def precond(t, sig):
    """EDM-style constants of each coefficient at time t: scale of the input, skip, scale of the output."""
    s2 = t * t * sig * sig + (1 - t) ** 2
    s = np.sqrt(s2)
    return 1 / s, t * sig * sig / s2, sig * (1 - t) / s


def develop_luma(y):
    y = np.clip(y / .955, 0, 1)
    return np.where(y > .9, np.minimum(.9 + (y - .9) * 1.9, 1), y)


def develop_chroma(c):
    return np.sign(c) * np.maximum(np.abs(c) - .022, 0) * 1.06


class Float:
    def __init__(self, path):
        d = np.load(path)
        self.p = {k.removeprefix('net.'): d[k].astype(np.float64) for k in d.files}
        self.sig, self.scale = self.p['sig'], self.p['scale']
        self.seen = None        # a dict: the largest input of each channel of every matrix is noted in it

    def note(self, name, x):
        if self.seen is not None:
            self.seen[name] = np.maximum(self.seen.get(name, 0), np.abs(x).max(0))
        return x

    def linear(self, name, x):
        return x @ self.p[name + '.weight'].T + self.p.get(name + '.bias', 0)

    def text(self, batch):
        table = self.p['emb.weight']
        e = np.stack([(wt / 4096) @ table[ids] for ids, wt in batch])
        h = np.maximum(self.linear('e1', self.note('text1', e)), 0)
        return np.maximum(self.linear('e2', self.note('text2', h)), 0)

    def time(self, t):
        """The biases T_l(t) of the four blocks: 4 x 2048."""
        p = t * self.p['fr']
        q = self.linear('t1', np.concatenate([np.sin(p), np.cos(p)]))
        return self.linear('tb', q / (1 + np.exp(-q))).reshape(4, -1)

    def net(self, z, t, c):
        x = self.linear('inp', self.note('in', z)) + self.linear('ci', self.note('cond', c))
        for l, b in enumerate(self.time(t)):
            h = self.linear(f'a.{l}', self.note(f'up{l}', x)) + b + self.linear(f'cb.{l}', c)
            x = x + self.linear(f'b.{l}', self.note(f'down{l}', np.maximum(h, 0)))
        return self.linear('out', self.note('out', x))

    def latent(self, batch, z, steps):
        c = self.text(batch)
        for i in range(steps):
            ci, cs, co = precond(i / steps, self.sig)
            x = cs * z + BOOST * co * self.net(z * ci, i / steps, c)
            z = z + (x - z) / (steps - i)
        return self.note('basis', z)

    def pictures(self, batch, seeds, steps=2):
        z = self.latent(batch, np.stack([noise(s) for s in seeds]) / 4096, steps)
        v = z * self.scale @ self.p['U'].T + self.p['mean']
        y = develop_luma(v[:, :4096]).reshape(-1, 64, 64)
        c = develop_chroma(v[:, 4096:] / CW).reshape(-1, 2, 32, 32)
        c = upsample(c) / 16
        y, cb, cr = (smooth(p, lambda d: bend(d * 4080) / 65280) for p in (y, c[:, 0], c[:, 1]))
        return to_rgb(y, cb, cr)


EDGE, PASSES = 1024, 3      # smoothing: differences of 1024/4080 and more are edges


def bend(d):
    """Tukey's biweight: small differences pass, those of edges do not. In and out in 1/4080."""
    return d * np.maximum(1 - (d / EDGE) ** 2, 0) ** 2


def smooth(p, flow):
    """Anisotropic diffusion (Perona and Malik, 1990): takes the mottling out of areas, leaves their edges. flow is what a
    difference to one of the eight neighbours adds to a pixel, diagonal ones half."""
    for _ in range(PASSES):
        e = np.pad(p, ((0, 0), (1, 1), (1, 1)), mode='edge')
        n = p.shape[1]
        add = 0
        for dy in range(3):
            for dx in range(3):
                f = flow(e[:, dy:dy + n, dx:dx + n] - p)
                add = add + (0 if dy == dx == 1 else 2 * f if dy == 1 or dx == 1 else f)
        p = p + add
    return p


def upsample(c):
    """Bilinear doubling of planes with the sample points of pixel centres; 16 times the value, so exact in integers."""
    p = np.pad(c, ((0, 0), (0, 0), (1, 1), (1, 1)), mode='edge')
    rows = np.stack([p[:, :, :-2] + 3 * p[:, :, 1:-1], 3 * p[:, :, 1:-1] + p[:, :, 2:]], 3).reshape(*c.shape[:2], 64, -1)
    return np.stack([rows[..., :-2] + 3 * rows[..., 1:-1], 3 * rows[..., 1:-1] + rows[..., 2:]], -1).reshape(*c.shape[:2], 64, 64)


def to_rgb(y, cb, cr):
    rgb = np.stack([y + 1.402 * cr, y - .344136 * cb - .714136 * cr, y + 1.772 * cb], -1)
    return np.clip(np.floor(rgb * 255 + .5), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- integers

def requantise(v, mul, shift):
    """round(v * mul / 2^shift), halves up."""
    return (v * mul + (1 << int(shift) >> 1)) >> int(shift)


def int8(v):
    return np.clip(v, -127, 127)


class Integer:
    def __init__(self, tensors):
        self.t = {k: v.astype(np.int64) for k, v in tensors.items()}
        self.w = {k[:-2]: v.astype(np.float64) for k, v in tensors.items() if k.endswith('.w')}

    def product(self, name, x):
        """Exact: all sums stay below 2^53."""
        return (x.astype(np.float64) @ self.w[name].T).astype(np.int64)

    def scaled(self, name, acc, index=None):
        mul = self.t[name + '.mul']
        return requantise(acc, mul if index is None else mul[index], self.t[name + '.shift'][0])

    def apply(self, name, x):
        return self.scaled(name, self.product(name, x) + self.t.get(name + '.bias', np.int64(0)))

    def text(self, batch):
        acc = np.stack([wt @ self.t['text.table'][ids] for ids, wt in batch])
        h = int8(self.scaled('text', acc))
        h = np.clip(self.apply('text1', h), 0, 127)
        return np.clip(self.apply('text2', h), 0, 127)

    def step(self, z, r, cond):
        """One estimate of the picture; r is the row of the step's constants."""
        x = self.apply('in', int8(requantise(z, self.t['in.pre.mul'][r], self.t['in.pre.shift'][0]))) + cond[0]
        for l in range(4):
            h = self.product(f'up{l}', int8(self.scaled(f'up{l}.pre', x))) + self.t[f'up{l}.time'][r] + cond[1 + l]
            x = x + self.apply(f'down{l}', np.clip(self.scaled(f'up{l}', h), 0, 127))
        f = self.product('out', int8(self.scaled('out.pre', x))) + self.t['out.bias']
        return self.scaled('skip', z, r) + self.scaled('out', f, r)

    def latent(self, batch, seeds, steps):
        c = self.text(batch)
        cond = [self.apply('cond', c)] + [self.apply(f'cond{l}', c) for l in range(4)]
        z = np.stack([noise(s) for s in seeds])
        for i in range(steps):
            r = steps * (steps - 1) // 2 - 1 + i
            x = self.step(z, r, cond)
            z = z + requantise(x - z, self.t['rate'][r], 16)
        return z

    def flow(self, d):
        """d in 1/65280, bent in 1/4080, and that taken as 1/65280: a sixteenth."""
        d = np.clip(requantise(d, 1, 4), -EDGE, EDGE)
        return requantise(d * (EDGE ** 2 - d * d) ** 2, 1, 40)

    def pictures(self, batch, seeds, steps=2):
        z = self.latent(batch, seeds, steps)
        v = self.apply('basis', np.clip(self.scaled('basis.pre', z), -16383, 16383))
        y = self.t['luma'][np.clip(v[:, :4096], 0, 4096)].reshape(-1, 64, 64) * 16
        c = self.t['chroma'][np.clip(v[:, 4096:], -2048, 2047) + 2048].reshape(-1, 2, 32, 32)
        c = upsample(c)
        y, cb, cr = (smooth(p, self.flow) for p in (y, c[:, 0], c[:, 1]))
        rgb = np.stack([(y << 14) + 22970 * cr, (y << 14) - 5638 * cb - 11700 * cr, (y << 14) + 29032 * cb], -1)
        return np.clip((rgb + (1 << 21)) >> 22, 0, 255).astype(np.uint8)
