"""Figures and grids for a trained model:  evaluate.py MODEL.pt STEPS BOOST THREADS

Beside corpus.pt: recall of the vocabulary (R-precision among 50 by the nearest real picture), distance to the training
pictures, what a seed changes, 8-bit weights and activations, colours. The classifier of docs/pixel.md is not part of this.
"""

import math
import random
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image

import corpus
import network
import pixelmodel
import prompts
import train

path, steps, cfg, T = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(T)
torch.set_flush_denormal(True)
net, D = network.open_model(path)
sets = D['sets']
K = net.cfg['K']


def gen(n, prompts, styles, seeds, **kw):
    return torch.cat(
        [
            network.sample(
                n, D, prompts[i : i + 100], styles[i : i + 100], seeds[i : i + 100], **{**dict(steps=steps, boost=cfg), **kw}
            )
            for i in range(0, len(prompts), 100)
        ]
    )


def sheet(im, cols, path, zoom=1):
    n = len(im)
    r = math.ceil(n / cols)
    G = torch.ones(r * cols, 3, 64, 64)
    G[:n] = im
    a = (G.reshape(r, cols, 3, 64, 64).permute(0, 3, 1, 4, 2).reshape(r * 64, cols * 64, 3) * 255).byte().numpy()
    i = Image.fromarray(a)
    i.resize((i.width * zoom, i.height * zoom), Image.BICUBIC).save(path)


class QLin(nn.Module):  # int8 weights per output row, int8 input with one static scale
    def __init__(s, l):
        super().__init__()
        sc = l.weight.abs().amax(1, keepdim=True) / 127
        s.w = (l.weight / sc).round() * sc
        s.b = l.bias
        s.mx = 0.0
        s.cal = True

    def forward(s, x):
        if s.cal:
            s.mx = max(s.mx, float(x.abs().flatten().kthvalue(max(1, int(x.numel() * 0.9999)))[0]))
            return F.linear(x, s.w, s.b)
        q = s.mx / 127
        return F.linear((x / q).round().clamp(-127, 127) * q, s.w, s.b)


def quantise(net, cal):
    import copy

    n = copy.deepcopy(net)
    ql = []

    def rep(m):
        for k, c in list(m.named_children()):
            if isinstance(c, nn.Linear) and k not in ('t1', 'tb'):
                q = QLin(c)
                setattr(m, k, q)
                ql.append(q)
            elif isinstance(c, nn.ModuleList):
                for i in range(len(c)):
                    c[i] = QLin(c[i])
                    ql.append(c[i])

    rep(n)
    e = n.emb.weight.data
    sc = e.abs().max() / 127
    n.emb.weight.data = (e / sc).round() * sc
    cal(n)
    for q in ql:
        q.cal = False
    return n, ql


Du = dict(D)
if __name__ == '__main__':
    S = lambda j: sets[j % len(sets)]
    known = gen(net, prompts.KNOWN * 2, [S(0)] * 40 + [S(1)] * 40, [11] * 40 + [12] * 40)
    sheet(torch.cat([known[:20], known[40:60], known[20:40], known[60:]]), 20, 'known.png')
    nov = gen(net, prompts.NOVEL * 2, [S(0)] * 20 + [S(1)] * 20, [11] * 20 + [12] * 20)
    sheet(nov, 20, 'novel.png')
    C = torch.load('corpus.pt')
    M = C['meta']
    rgb = C['rgb'].float() / 255
    C = train.select(C, sets, True)
    small = torch.cat(
        [
            F.avg_pool2d(corpus.unpack(C['Z'][i : i + 500] @ C['U'].T + C['mean']), 2).flatten(1)
            for i in range(0, len(C['Z']), 500)
        ]
    )
    kind = C['kind']
    pic = C['pic']
    base = (kind == 0).nonzero()[:, 0]
    f = lambda im: F.avg_pool2d(im, 2).flatten(1)

    def rmse(a, b):
        return torch.cdist(a, b) / math.sqrt(a.shape[1])

    sb = small[base]
    d = rmse(sb[:600], sb)
    d[torch.arange(600), torch.arange(600)] = 9
    print('real picture to nearest OTHER real: median %.3f' % d.amin(1).median())
    # memorisation / diversity
    P = prompts.KNOWN[:40]
    g = torch.stack([gen(net, P, [S(0)] * 40, [100 + s] * 40) for s in range(4)])
    gs = torch.stack([f(x) for x in g])
    nn_ = torch.stack([rmse(x, small).amin(1) for x in gs])
    print(
        'known: generated to nearest training variant: median %.3f  p10 %.3f p90 %.3f ; share < .03: %.2f, < .06: %.2f'
        % (nn_.median(), nn_.quantile(0.1), nn_.quantile(0.9), (nn_ < 0.03).float().mean(), (nn_ < 0.06).float().mean())
    )
    pw = torch.stack([((gs[a] - gs[b]) ** 2).mean(1).sqrt() for a in range(4) for b in range(a)])
    print('same prompt+style, different seed rmse: median %.3f' % pw.median())
    o = f(gen(net, P, [S(1)] * 40, [100] * 40))
    print('same prompt, other style rmse: median %.3f' % ((gs[0] - o) ** 2).mean(1).sqrt().median())
    ns = torch.stack([f(gen(net, P, [None] * 40, [100 + s] * 40)) for s in range(3)])
    print(
        'no style token: seeds rmse %.3f nearest %.3f'
        % (((ns[0] - ns[1]) ** 2).mean(1).sqrt().median(), rmse(ns[0], small).amin(1).median())
    )
    nv = torch.cat([rmse(f(nov), small).amin(1)])
    print('novel pairs: nearest training variant rmse median %.3f' % nv.median())
    # retrieval

    labels = sorted({corpus.norm_label(m) for m in M})
    common = [m for m in M if m['set'] == sets[0] and m['group'] not in (1, 8)]
    rng = random.Random(5)
    pk = rng.sample(common, min(400, len(common)))
    pr = [corpus.norm_label(m) for m in pk]
    out = {}

    def nnret(im, prs):  # nearest real picture among the 50 candidates' real pictures (both styles)
        byl = {}
        for b in base.tolist():
            byl.setdefault(corpus.norm_label(M[int(pic[b])]), []).append(b)
        r = []
        x = f(im)
        rg = random.Random(9)
        for j, p in enumerate(prs):
            cand = [p] + rg.sample([l for l in labels if l != p and l in byl], 49)
            best = [float(rmse(x[j : j + 1], small[byl[l]]).min()) for l in cand]
            r.append(best[0] <= min(best))
        return np.mean(r)

    def report(name, im, prs):
        t = '%s: NN R-precision/50 %.3f' % (name, nnret(im, prs))
        print(t, flush=True)

    st = [S(j) for j in range(len(pr))]
    sd = [500 + j for j in range(len(pr))]
    real = []
    look = {(m['set'], corpus.norm_label(m)): i for i, m in enumerate(M)}
    for p, s in zip(pr, st):
        real.append(look.get((s, p), look[(sets[0], p)]))
    report('real', rgb[real], pr)
    im = gen(net, pr, st, sd)
    report('generated', im, pr)
    fr = [(m['fr'], corpus.norm_label(m)) for m in pk if m['fr']]
    report('generated from French label', gen(net, [a for a, _ in fr], st[: len(fr)], sd[: len(fr)]), [b for _, b in fr])
    for s_, b_, c_ in (
        (1, 1.4, 1.0),
        (2, 1.4, 1.0),
        (3, 1.4, 1.0),
        (4, 1.4, 1.0),
        (12, 1.4, 1.0),
        (6, 1.0, 1.0),
        (6, 1.2, 1.0),
        (6, 1.7, 1.0),
        (6, 1.0, 1.6),
    ):
        report(
            'steps %d boost %.1f cfg %.1f' % (s_, b_, c_),
            gen(net, pr[:200], st[:200], sd[:200], steps=s_, boost=b_, cfg=c_),
            pr[:200],
        )
    # W8A8
    D['U'] = Du['U']
    q, ql = quantise(
        net,
        lambda n: gen(n, [corpus.norm_label(m) for m in rng.sample(common, 100)], [S(j) for j in range(100)], list(range(100))),
    )
    qi = gen(q, pr, st, sd)
    print(
        'W8A8 vs float rmse: median %.4f p90 %.4f; PSNR of median %.1f dB'
        % (
            ((qi - im) ** 2).mean((1, 2, 3)).sqrt().median(),
            ((qi - im) ** 2).mean((1, 2, 3)).sqrt().quantile(0.9),
            -20 * math.log10(((qi - im) ** 2).mean((1, 2, 3)).sqrt().median()),
        )
    )
    report('W8A8', qi, pr)
    U = D['U']
    sc = U.abs().amax(0) / 127
    D['U'] = (U / sc).round() * sc
    qk = gen(q, prompts.KNOWN[:20] + prompts.NOVEL, [S(0)] * 40, [11] * 40)
    D['U'] = U
    fk = gen(net, prompts.KNOWN[:20] + prompts.NOVEL, [S(0)] * 40, [11] * 40)
    sheet(torch.cat([fk[:20], qk[:20], fk[20:], qk[20:]]), 20, 'w8a8.png')
    print('with int8 basis too: rmse %.4f' % ((qk - fk) ** 2).mean((1, 2, 3)).sqrt().median())
    print('static input scales max:', [round(x.mx, 2) for x in ql])

    # colour obedience on held-out pairs and on 200 random colour+noun pairs
    def colour_ok(im, cols):
        w, y0, m0, a, _ = corpus.analyse(im)
        y, c = corpus.to_ycc(im)
        n = w.sum((1, 2, 3)).clamp(min=1)
        v = torch.cat([(w * y).sum((1, 2, 3))[:, None] / n[:, None] * 0.7, (w * c).sum((2, 3)) / n[:, None]], 1)
        t = []
        for k, (rgb_, _) in prompts.COLOURS.items():
            ty, tc = corpus.to_ycc(torch.tensor(rgb_).float().reshape(1, 3, 1, 1) / 255)
            t.append(torch.cat([ty.reshape(1) * 0.7, tc.reshape(2)]))
        b = torch.cdist(v, torch.stack(t)).argmin(1)
        names = list(prompts.COLOURS)
        return np.mean([names[b[j]] == cols[j] for j in range(len(cols))])

    print('colour right on held-out pairs (40): %.2f' % colour_ok(nov, [c for c, _ in prompts.HELD_OUT] * 2))
    pc = [(rng.choice(list(prompts.COLOURS)), ' '.join(w for w in pixelmodel.words(p) if w not in corpus.COLOUR_WORDS)) for p in pr[:200]]
    ci = gen(net, [a + ' ' + b for a, b in pc], st[:200], sd[:200])
    print('colour right on 200 random colour+noun: %.2f' % colour_ok(ci, [a for a, _ in pc]))
    report('colour+noun', ci, pr[:200])
