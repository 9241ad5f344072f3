"""The picture model as it is used: what the seed chooses, pictures in floats and in integers, scenes.

Float and Integer hold the same network. Integer is what ships and is the reference of bits: an implementation of its own, in
numpy, of what engine/pixel computes. quantise.py writes the digests of pictures that it draws; the Go tests must meet them.
"""
import os

import numpy as np

from tensors import read_tensors
from words import COLOURS, STYLES, Lexicon, encode, noun, singular

ONE, CW = 4096, 1.3         # 12 fraction bits; weight of a half-resolution chroma sample against a luma sample in the basis
MASK = (1 << 64) - 1


# ---------------------------------------------------------------- what the seed chooses

def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def draw(seed, i):
    """The i-th 64 random bits of a seed (SplitMix64)."""
    return mix((mix(seed & MASK) + (i + 1) * 0x9E3779B97F4A7C15) & MASK)


ZOOM, TILT = (256, 256, 272, 292), (0, 0, 0, -18, 18, -30)         # 1/256: inverse zoom; sine of the tilt


def choices(seed, thing):
    """Mirrored, zoom, tilt, variant and tint (or None) of the n-th thing in a picture."""
    q = draw(seed, 1 + thing)
    return dict(mirror=q & 1, zoom=ZOOM[q >> 8 & 3], tilt=TILT[(q >> 16 & 0xffff) % len(TILT)],
                variant=q >> 32 & 0xff, tint=list(COLOURS)[(q >> 40 & 0xff) % 8] if (q >> 48 & 7) == 0 else None)


# things that show lettering or a side are not mirrored
SIDED = {singular(w) for w in """
abc abcd 100 1234 ok atm zzz 24 18 number nombre letter lettre clock horloge watch montre calendar calendrier
date left right gauche droite sign panneau symbol symbole question note musique dollar euro yen pound livre sterling medal
medaille 1st 2nd 3rd first second third keyboard clavier newspaper journal map carte check aries belier taurus taureau gemini
gemeaux cancer leo libra virgo scorpio sagittarius capricorn capricorne aquarius verseau pisces""".split()}


def pose(rgb, mirror=0, zoom=256, tilt=0, size=64, x0=0, y0=0, canvas=None):
    """Lays an n x n picture, turned, zoomed and scaled to size/64, onto the canvas at (x0, y0)/64: integers only, bilinear with
    4-bit weights; the darker of picture and canvas stays."""
    n = len(rgb)
    canvas = np.full((n, n, 3), 255, np.int64) if canvas is None else canvas.copy()
    src = rgb.astype(np.int64)[:, ::-1] if mirror else rgb.astype(np.int64)
    if size < 64:                                           # a mean over 2 x 2 first, so that nothing is skipped
        p = np.pad(src, ((0, 1), (0, 1), (0, 0)), constant_values=255)
        src = (p[:-1, :-1] + p[1:, :-1] + p[:-1, 1:] + p[1:, 1:] + 2) >> 2
    p = np.pad(src, ((1, 1), (1, 1), (0, 0)), constant_values=255)
    cosine = zoom - (tilt * tilt >> 9)
    m, x0, y0 = size * n // 64, x0 * n // 64, y0 * n // 64
    v, u = np.mgrid[0:m, 0:m]
    u, v = 2 * u - m + 1, 2 * v - m + 1                     # twice the distance from the middle
    middle = 8 * n - (8 if size == 64 else 16)              # the 2 x 2 mean has moved the picture by half a pixel
    sx = 2 * (u * cosine - v * tilt) // size + middle
    sy = 2 * (v * cosine + u * tilt) // size + middle
    sx, sy = np.clip(sx, -16, 16 * n) + 16, np.clip(sy, -16, 16 * n) + 16
    i, j, a, b = sy >> 4, sx >> 4, (sy & 15)[..., None], (sx & 15)[..., None]
    i2, j2 = np.minimum(i + 1, n + 1), np.minimum(j + 1, n + 1)
    out = ((p[i, j] * (16 - b) + p[i, j2] * b) * (16 - a) + (p[i2, j] * (16 - b) + p[i2, j2] * b) * a + 128) >> 8
    canvas[y0:y0 + m, x0:x0 + m] = np.minimum(canvas[y0:y0 + m, x0:x0 + m], out)
    return canvas


LAYOUTS = {1: [[(64, 0, 0)]], 2: [[(36, 0, 4), (36, 28, 24)], [(36, 0, 24), (36, 28, 4)], [(34, 0, 15), (34, 30, 15)]],
           3: [[(32, 16, 0), (32, 0, 32), (32, 32, 32)], [(32, 0, 0), (32, 32, 0), (32, 16, 32)]],
           4: [[(32, 0, 0), (32, 32, 0), (32, 0, 32), (32, 32, 32)]]}       # size, x, y of each thing


# ---------------------------------------------------------------- floats

def develop_luma(y):
    y = np.clip(y / .975, 0, 1)
    return np.where(y > .9, np.minimum(.9 + (y - .9) * 1.6, 1), y)


def develop_chroma(c):
    return np.sign(c) * np.maximum(np.abs(c) - .012, 0) * 1.03


PASSES, RATE, TAU = 3, .16, (.09, .072)      # smoothing: passes; share moved per neighbour; contrast kept, luma and chroma


def flow(d, tau):
    """How much of a difference between neighbours is evened out: all of a small one, nothing of an edge."""
    return RATE * d * np.exp(-(d / tau) ** 2)


def smooth(y, move):
    """Evens out planes (N, n, n): y += the sum over 8 neighbours of a table of their difference, several times."""
    n = y.shape[-1]
    for _ in range(PASSES):
        p = np.pad(y, ((0, 0), (1, 1), (1, 1)), mode='edge')
        y = y + move([p[:, i:i + n, j:j + n] - y for i, j in ((0, 1), (1, 0), (1, 2), (2, 1))], [p[:, i:i + n, j:j + n] - y for i, j in ((0, 0), (0, 2), (2, 0), (2, 2))])
    return y


def upsample(c):
    """Bilinear doubling; 16 times the value, exact in integers."""
    p = np.pad(c, ((0, 0), (0, 0), (1, 1), (1, 1)), mode='edge')
    rows = np.stack([p[:, :, :-2] + 3 * p[:, :, 1:-1], 3 * p[:, :, 1:-1] + p[:, :, 2:]], 3).reshape(*c.shape[:2], 64, -1)
    return np.stack([rows[..., :-2] + 3 * rows[..., 1:-1], 3 * rows[..., 1:-1] + rows[..., 2:]], -1).reshape(*c.shape[:2], 64, 64)


class Float:
    def __init__(self, d):
        """d: name -> array, as in the .npz files."""
        self.p = {k: np.asarray(v, np.float32) for k, v in d.items() if np.asarray(v).dtype.kind == 'f'}
        self.L = sum(k.startswith('a.') and k.endswith('weight') for k in self.p)
        self.seen = None

    def note(self, name, x):
        if self.seen is not None:
            self.seen[name] = np.maximum(self.seen.get(name, 0), np.abs(x).max(0))
        return x

    def linear(self, name, x):
        return x @ self.p[name + '.weight'].T + self.p.get(name + '.bias', np.float32(0))

    def latent(self, batch):
        t = self.p['emb.weight']
        e = np.stack([np.asarray(w, np.float32) @ t[ids] for ids, w in batch])
        c = np.maximum(self.linear('e1', self.note('text1', e)), 0)
        c = self.note('cond', np.maximum(self.linear('e2', self.note('text2', c)), 0))
        x = self.linear('ci', c)
        for l in range(self.L):
            h = self.linear(f'a.{l}', self.note(f'up{l}', x)) + self.linear(f'cb.{l}', c)
            x = x + self.linear(f'b.{l}', self.note(f'down{l}', np.maximum(h, 0)))
        return self.note('basis', self.linear('out', self.note('out', x)) * self.p['sig'])

    def pictures(self, batch):
        v = self.latent(batch) * self.p['scale'] @ self.p['U'].T + self.p['mean']
        def move(tau):
            return lambda near, far: sum(flow(d, tau) for d in near) + sum(flow(d, tau) for d in far) / 2
        y = smooth(v[:, :4096].reshape(-1, 64, 64), move(TAU[0]))
        c = smooth(v[:, 4096:].reshape(-1, 32, 32) / CW, move(TAU[1])).reshape(-1, 2, 32, 32)
        y, c = develop_luma(y), upsample(develop_chroma(c)) / 16
        rgb = np.stack([y + 1.402 * c[:, 1], y - .344136 * c[:, 0] - .714136 * c[:, 1], y + 1.772 * c[:, 0]], -1)
        return np.clip(np.floor(rgb * 255 + .5), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- integers

def requantise(v, mul, shift):
    return (v * mul + (1 << int(shift) >> 1)) >> int(shift)


def int8(v):
    return np.clip(v, -127, 127)


class Integer:
    def __init__(self, tensors):
        self.t = {k: v.astype(np.int64) for k, v in tensors.items() if not k.endswith('.w')}
        # every sum stays below 2^53, and below 2^24 where float32 is used, so both are exact
        self.w = {k[:-2]: v.astype(np.float32 if v.shape[1] <= 1024 and not k.startswith('basis') else np.float64) for k, v in tensors.items() if k.endswith('.w')}
        self.L = sum(k.startswith('up') for k in self.w)

    def product(self, name, x):
        w = self.w[name]
        return (x.astype(w.dtype) @ w.T).astype(np.int64)

    def scaled(self, name, acc):
        return requantise(acc, self.t[name + '.mul'], self.t[name + '.shift'][0])

    def apply(self, name, x):
        return self.scaled(name, self.product(name, x) + self.t.get(name + '.bias', np.int64(0)))

    def latent(self, batch):
        acc = np.stack([np.floor(np.asarray(w) * ONE + .5).astype(np.int64) @ self.t['text.table'][ids] for ids, w in batch])
        c = np.clip(self.apply('text1', int8(self.scaled('text', acc))), 0, 127)
        c = np.clip(self.apply('text2', c), 0, 127)
        x = self.apply('cond', c)
        for l in range(self.L):
            h = self.product(f'up{l}', int8(self.scaled(f'up{l}.pre', x))) + self.t[f'up{l}.bias'] + self.apply(f'cond{l}', c)
            x = x + self.apply(f'down{l}', np.clip(self.scaled(f'up{l}', h), 0, 127))
        return self.apply('out', int8(self.scaled('out.pre', x)))

    def move(self, name):
        """32 times the sum is exact: a near neighbour counts twice, a far one once."""
        def look(d):
            return self.t[name][np.clip(d, -1024, 1023) + 1024]
        return lambda near, far: (2 * sum(look(d) for d in near) + sum(look(d) for d in far) + 16) >> 5

    def pictures(self, batch, factor=1):
        v = self.apply('basis', np.clip(self.scaled('basis.pre', self.latent(batch)), -16383, 16383))
        y = smooth(v[:, :4096].reshape(-1, 64, 64), self.move('flow.luma'))
        c = smooth(v[:, 4096:].reshape(-1, 32, 32), self.move('flow.chroma')).reshape(-1, 2, 32, 32)
        y = self.t['luma'][np.clip(y, 0, 4096)] * 16
        c = upsample(self.t['chroma'][np.clip(c, -2048, 2047) + 2048])
        y, cb, cr = (enlarge(p, factor) for p in (y, c[:, 0], c[:, 1]))
        rgb = np.stack([(y << 14) + 22970 * cr, (y << 14) - 5638 * cb - 11700 * cr, (y << 14) + 29032 * cb], -1)
        return np.clip((rgb + (1 << 21)) >> 22, 0, 255).astype(np.uint8)


def enlarge(p, factor):
    """Catmull-Rom splines with exact weights: columns, then rows, rounding after each. factor is a power of two."""
    if factor == 1:
        return p
    d = 2 * factor
    shift = 3 * d.bit_length() - 2                          # the weights' sum is 2 d^3
    for axis in (1, 2):
        n = p.shape[axis]
        at, parts = np.arange(n), []
        for i in range(factor):
            t, first = (2 * i + 1 - factor) % d, -2 if 2 * i + 1 < factor else -1
            w = (-t * d * d + 2 * t * t * d - t ** 3, 2 * d ** 3 - 5 * t * t * d + 3 * t ** 3, t * d * d + 4 * t * t * d - 3 * t ** 3, t ** 3 - t * t * d)
            v = sum(k * np.take(p, np.clip(at + first + j, 0, n - 1), axis) for j, k in enumerate(w))
            parts.append((v + (1 << shift >> 1)) >> shift)
        p = np.stack(parts, axis + 1).reshape(*p.shape[:axis], n * factor, *p.shape[axis + 1:])
    return p


# ---------------------------------------------------------------- from a prompt to a picture

class Painter:
    """pictures(prompts, seeds): what a person gets. net is a Float or an Integer."""

    def __init__(self, net, lexicon, styles=STYLES):
        self.net, self.lex, self.styles = net, lexicon, styles

    def plan(self, prompt, seed, style=None, still=False):
        """[(words, style, mirror, zoom, tilt)] of each thing. still: no choice of the seed but the style's."""
        out = []
        things = self.lex.things(prompt)
        style = style or self.lex.read(prompt)[1] or self.styles[draw(seed, 0) % len(self.styles)]
        for n, ws in enumerate(things):
            c = choices(seed, n)
            if still:
                c.update(mirror=0, zoom=256, tilt=0, variant=0, tint=None)
            if SIDED & set(ws):
                c['mirror'] = 0
            name, asked = noun(ws), [w for w in ws if w in COLOURS]
            if name in self.lex.variants:
                v = self.lex.variants[name]
                ws = asked + [w for w in v[c['variant'] % len(v)].split() if not asked or w not in COLOURS]
            if c['tint'] and name in self.lex.tintable and not any(w in COLOURS for w in ws):
                ws = [c['tint']] + ws
            out.append((ws, style, c['mirror'], c['zoom'] if len(things) == 1 else 256, c['tilt']))
        return out

    def pictures(self, prompts, seeds, styles=None, still=False, factor=1):
        """One picture a prompt; white for one that names nothing known, which the engine refuses."""
        plans = [self.plan(p, s, styles and styles[i], still) for i, (p, s) in enumerate(zip(prompts, seeds))]
        flat = [encode(t[0], t[1]) for plan in plans for t in plan]
        more = (factor,) if factor > 1 else ()
        rgb = [x for i in range(0, len(flat), 100) for x in self.net.pictures(flat[i:i + 100], *more)]
        out, k = [], 0
        for plan, seed in zip(plans, seeds):
            canvas = np.full((64 * factor, 64 * factor, 3), 255, np.int64)
            lay = LAYOUTS[max(len(plan), 1)]
            lay = lay[0 if still else draw(seed, 9) % len(lay)]
            for (size, x0, y0), t in zip(lay, plan):
                canvas = pose(rgb[k], t[2], t[3], t[4], size, x0, y0, canvas)
                k += 1
            out.append(canvas)
        return np.stack(out).astype(np.uint8)


def open_lexicon(folder, **options):
    def lines(name):
        with open(os.path.join(folder, name), encoding='utf-8') as f:
            return [line.rstrip('\n').split('\t') for line in f]
    return Lexicon({w: int(n) for w, n in lines('vocabulary.tsv')}, [j.split() for j, in lines('joined.txt')],
                   {w: v.split('|') for w, v in lines('variants.tsv')}, [t for t, in lines('tintable.txt')], **options)


def open_model(folder):
    """The painter of the model in a folder, in integers."""
    return Painter(Integer(read_tensors(os.path.join(folder, 'weights.bin'))), open_lexicon(folder))
