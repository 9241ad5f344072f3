"""The network in torch, its text, its sampler. pixelmodel.py computes the same without torch."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from corpus import SIZE, develop
from pixelmodel import ROWS, row, words

NGRAM = (3, 4)


CACHE = {}


def word_rows(w):
    """Two hashed rows for the word (weight 1) and its letter n-grams (together weight ~1)."""
    if w not in CACHE:
        p = '<' + w + '>'
        g = sorted({p[i : i + n] for n in NGRAM for i in range(len(p) - n + 1)})
        CACHE[w] = ([row('1', w), row('2', w)] + [row('g', x) for x in g], [1.0, 1.0] + [len(g) ** -0.5] * len(g))
    return CACHE[w]


def encode(text, style=None):
    ws = words(text)
    ids, wt = [], []
    for w in ws:
        r, k = word_rows(w)
        ids += r
        wt += [x * len(ws) ** -0.5 for x in k]
    if not ws:
        ids.append(row('s', 'null'))
        wt.append(1.0)
    if style:
        ids.append(row('s', style))
        wt.append(1.0)
    return np.array(ids, np.int64), np.array(wt, np.float32)


class Net(nn.Module):
    def __init__(s, K=512, W=768, H=1536, L=4, E=256, C=512, act='relu', norm='none', gate=False):
        super().__init__()
        s.cfg = dict(K=K, W=W, H=H, L=L, E=E, C=C, act=act, norm=norm, gate=gate)
        s.L, s.norm, s.gate = L, norm, gate
        s.act = {'relu': F.relu, 'silu': F.silu}[act]
        s.emb = nn.EmbeddingBag(ROWS, E, mode='sum')
        nn.init.normal_(s.emb.weight, 0, 0.3)
        s.e1 = nn.Linear(E, 2 * C)
        s.e2 = nn.Linear(2 * C, C)
        s.t1 = nn.Linear(32, 128)
        s.tb = nn.Linear(128, L * H)
        nn.init.normal_(s.tb.weight, 0, 0.02)
        s.cb = nn.ModuleList([nn.Linear(C, H, bias=False) for _ in range(L)])
        s.inp = nn.Linear(K, W)
        s.ci = nn.Linear(C, W, bias=False)
        s.a = nn.ModuleList([nn.Linear(W, H) for _ in range(L)])
        s.b = nn.ModuleList([nn.Linear(H, W) for _ in range(L)])
        if gate:
            s.g = nn.ModuleList([nn.Linear(W, H) for _ in range(L)])
        for l in s.b:
            l.weight.data.mul_(0.5)
        s.out = nn.Linear(W, K)
        s.out.weight.data.mul_(0.2)
        s.register_buffer('fr', torch.exp(torch.linspace(0, math.log(60), 16)))

    def text(s, ids, off, wt):
        e = s.emb(ids, off, per_sample_weights=wt)
        return F.relu(s.e2(F.relu(s.e1(e))))

    def time(s, t):
        p = t[:, None] * s.fr
        return s.tb(F.silu(s.t1(torch.cat([p.sin(), p.cos()], 1)))).chunk(s.L, 1)

    def forward(s, z, t, c):
        tb = s.time(t)
        r = len(z) // len(c)  # r noisy copies may share one text vector

        def join(x, y):
            return (x.view(r, len(c), -1) + y).view(len(z), -1)

        x = join(s.inp(z), s.ci(c))
        for i in range(s.L):
            y = x
            if s.norm == 'rms':
                y = x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-4)
            h = s.act(join(s.a[i](y) + tb[i], s.cb[i](c)))
            if s.gate:
                h = h * s.g[i](y)
            x = x + s.b[i](h)
        return s.out(x)


def precond(t, sig):
    s2 = t * t * sig * sig + (1 - t) ** 2
    s = s2.sqrt()
    return 1 / s, t * sig * sig / s2, sig * (1 - t) / s  # input scale, skip, output scale


def denoise(net, z, t, c, sig, boost=1.0):
    ci, cs, co = precond(t[:, None], sig)
    return cs * z + boost * co * net(
        z * ci, t, c
    )  # boost > 1: guidance away from the linear (text-free) estimate, at no extra pass


def bag(pairs):
    n = np.array([len(p[0]) for p in pairs])
    off = np.concatenate([[0], n.cumsum()[:-1]])
    return (
        torch.from_numpy(np.concatenate([p[0] for p in pairs])),
        torch.from_numpy(off),
        torch.from_numpy(np.concatenate([p[1] for p in pairs])),
    )


@torch.no_grad()
def sample(net, D, prompts, styles, seeds, steps=8, cfg=1.0, boost=1.0, latent=False):
    sig = D['sig']
    c = net.text(*bag([encode(p, s) for p, s in zip(prompts, styles)]))
    n = len(prompts)
    u = net.text(*bag([encode('', s) for s in styles])) if cfg != 1 else None
    z = torch.stack([torch.randn(len(sig), generator=torch.Generator().manual_seed(int(s))) for s in seeds])
    for i in range(steps):
        t = torch.full((n,), i / steps)
        x = denoise(net, z, t, c, sig, boost if i / steps < 0.8 else 1.0)
        if cfg != 1 and i / steps < 0.8:
            xu = denoise(net, z, t, u, sig)
            x = xu + cfg * (x - xu)
        z = z + (x - z) / (steps - i) if i < steps - 1 else x
    v = z * D['scale'] @ D['U'].T + D['mean']
    return v if latent else develop(v)


def scales(D, power):
    sd = D['sd']
    sig = sd ** (1 - power)
    sig = sig / sig.pow(2).mean().sqrt()
    D['sig'] = sig
    D['scale'] = sd / sig  # coefficient = scale * z-space value
    return D


def grid(net, D, prompts, path, nseed=2, zoom=2, **kw):
    from PIL import Image

    st = D['sets']
    rows = []
    for s in range(nseed):
        for per in [prompts[i : i + 20] for i in range(0, len(prompts), 20)]:
            im = sample(net, D, per, [st[(s) % len(st)]] * len(per), [s * 1000 + 7] * len(per), **kw)
            rows.append((per, im))
    per = len(rows[0][0])
    G = torch.ones(len(rows), per, 3, SIZE, SIZE)
    for r, (p, im) in enumerate(rows):
        G[r, : len(p)] = im
    order = sorted(range(len(rows)), key=lambda r: (r % math.ceil(len(prompts) / 20), r))
    G = G[order]
    g = (G.permute(0, 3, 1, 4, 2).reshape(len(rows) * SIZE, per * SIZE, 3) * 255).byte().numpy()
    im = Image.fromarray(g)
    im.resize((im.width * zoom // 2 * 1, im.height * zoom // 2 * 1), Image.BICUBIC).save(path)


def open_model(path):
    D = torch.load(path)
    n = Net(**D['cfg'])
    n.load_state_dict(D['net'])
    n.eval()
    return n, D
