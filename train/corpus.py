"""Pictures and captions to a corpus:

  corpus.py --data DIR --out corpus.pt [--sets a,b] [--preview x.png]

DIR holds what prep.js wrote: data.json (a list of {set, name, label, tags, group, fr, frtags}) and data.rgb (N x 64 x 64 x 3
bytes on a white ground). The corpus holds every picture and its recoloured variants as coefficients of a linear basis
(PCA by subspace iteration), with the captions of each.
"""

import argparse
import collections
import json
import math
import random
import re

import numpy as np
import torch
import torch.nn.functional as F

from pixelmodel import CW, words
from prompts import COLOURS, HELD_OUT

SIZE = 64
COLOUR_WORDS = set(COLOURS) | {v[1] for v in COLOURS.values()} | {'large', 'medium', 'light', 'dark'}


def to_ycc(rgb):
    """N,3,64,64 in 0..1 -> luma N,1,64,64 ; chroma N,2,64,64"""
    r, g, b = rgb[:, 0:1], rgb[:, 1:2], rgb[:, 2:3]
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return y, torch.cat([(b - y) / 1.772, (r - y) / 1.402], 1)


def to_rgb(y, c):
    cb, cr = c[:, 0:1], c[:, 1:2]
    return torch.cat([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], 1).clamp(0, 1)


def develop(v):
    """Output tables: lift near-white to white, drop faint chroma, so that the residual mottling of the ground disappears."""
    y = (v[:, : SIZE * SIZE] / 0.955).clamp(0, 1)
    c = v[:, SIZE * SIZE :] / CW
    y = torch.where(y > 0.9, (0.9 + (y - 0.9) * 1.9).clamp(max=1), y)
    c = torch.sign(c) * (c.abs() - 0.022).clamp(min=0) * 1.06
    return unpack(torch.cat([y, c * CW], 1))


def pack(rgb):
    y, c = to_ycc(rgb)
    return torch.cat([y.flatten(1), CW * F.avg_pool2d(c, 2).flatten(1)], 1)


def unpack(v):
    h = SIZE // 2
    y = v[:, : SIZE * SIZE].reshape(-1, 1, SIZE, SIZE)
    c = v[:, SIZE * SIZE :].reshape(-1, 2, h, h) / CW
    return to_rgb(y, F.interpolate(c, scale_factor=2, mode='bilinear', align_corners=False))


def foreground(rgb):
    white = (rgb.amin(1, keepdim=True) > 0.97).float()
    bg = torch.zeros_like(white)
    bg[:, :, 0] = bg[:, :, -1] = 1
    bg[:, :, :, 0] = bg[:, :, :, -1] = 1
    bg *= white
    for _ in range(90):
        bg = F.max_pool2d(bg, 3, 1, 1) * white
    return 1 - bg


def analyse(rgb):
    """Which pixels carry the object's own colour: (weight map, mean luma, mean chroma size, usable)."""
    fg = foreground(rgb)
    y, c = to_ycc(rgb)
    m = c.norm(dim=1, keepdim=True)
    h = torch.atan2(c[:, 1:2], c[:, 0:1])
    bins = ((h + math.pi) / (2 * math.pi) * 36).long().clamp(0, 35)
    n = len(rgb)
    hist = torch.zeros(n, 36)
    hist.scatter_add_(1, bins.flatten(1), (m * fg * (m > 0.06)).flatten(1))
    hist = hist + 0.7 * (hist.roll(1, 1) + hist.roll(-1, 1)) + 0.3 * (hist.roll(2, 1) + hist.roll(-2, 1))
    h0 = ((hist.argmax(1).float() + 0.5) / 36 * 2 * math.pi - math.pi)[:, None, None, None]
    d = torch.atan2(torch.sin(h - h0), torch.cos(h - h0)).abs() * 180 / math.pi
    wa = ((75 - d) / 25).clamp(0, 1) * ((m - 0.03) / 0.05).clamp(0, 1) * fg
    area = fg.sum((1, 2, 3)).clamp(min=1)
    cover = wa.sum((1, 2, 3)) / area
    wb = fg * ((0.08 - m) / 0.04).clamp(0, 1) * ((y - 0.2) / 0.1).clamp(0, 1)
    coverb = wb.sum((1, 2, 3)) / area
    a = (cover >= 0.22)[:, None, None, None]
    w = torch.where(a, wa, wb)
    s = w.sum((1, 2, 3), keepdim=True).clamp(min=1)
    y0 = (w * y).sum((1, 2, 3), keepdim=True) / s
    m0 = torch.where(a, (w * m).sum((1, 2, 3), keepdim=True) / s, torch.tensor(1.0))
    return w, y0, m0, a, (cover >= 0.22) | (coverb >= 0.4)


def recolour(rgb, info, target):
    w, y0, m0, a, _ = info
    y, c = to_ycc(rgb)
    m = c.norm(dim=1, keepdim=True)
    t = torch.tensor(target).float().reshape(1, 3, 1, 1) / 255
    ty, tc = to_ycc(t)
    y2 = (y + w * 0.75 * (ty - y0)).clamp(0, 1)
    gain = torch.where(a, (m / m0).clamp(0.5, 1.2), (1.15 - (y - y0).abs()).clamp(0.4, 1.0))
    return to_rgb(y2, c * (1 - w) + w * tc * gain)


def jitter(rgb):
    n = len(rgb)
    s = 1 / (1 - 0.14 * torch.rand(n))
    r = (torch.rand(n) - 0.5) * 0.28
    f = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    th = torch.stack(
        [
            torch.stack([f * s * r.cos(), -s * r.sin(), (torch.rand(n) - 0.5) * 0.08], 1),
            torch.stack([f * s * r.sin(), s * r.cos(), (torch.rand(n) - 0.5) * 0.08], 1),
        ],
        1,
    )
    g = F.affine_grid(th, list(rgb.shape), align_corners=False)
    return 1 - F.grid_sample(1 - rgb, g, align_corners=False)


# ---------------------------------------------------------------- corpus
def keep(m):
    l = m['label']
    g = m['group']
    if g in (-1, 2, 9):
        return False
    if re.match(r'(man|woman|men|women|family|person|couple|kiss|people|woman and|man and)\b.*[:, ]', l) and l not in (
        'man',
        'woman',
    ):
        return False
    if re.search(r'keycap|skin tone|facing right|letter [a-z]$|Japanese|thirty|button|input |arrow|blood type', l):
        return False
    if re.search(r'o.clock', l) and not l.startswith('three'):
        return False
    if (
        g == 8
        and re.search(r'sign|symbol|prohibited|no |restroom|mark$|loop|slash|part alternation|asterisk|star of|cross$', l)
        and not re.search(r'check|peace|infinity|recycling|question|radioactive|warning', l)
    ):
        return False
    return True


def norm_label(m):
    l = m['label']
    return {'three o’clock': 'clock'}.get(l, l)


def prep(a):
    random.seed(0)
    torch.manual_seed(0)
    meta = json.load(open(a.data + '/data.json'))
    sets = a.sets.split(',')
    raw = np.memmap(a.data + '/data.rgb', dtype=np.uint8, mode='r').reshape(-1, 64, 64, 3)
    idx, seen = [], set()
    for i, m in enumerate(meta):
        if m['set'] in sets and keep(m) and (m['set'], m['label']) not in seen:
            seen.add((m['set'], m['label']))
            idx.append(i)
    rgb = torch.from_numpy(raw[idx].astype(np.float32) / 255).permute(0, 3, 1, 2).contiguous()
    tiny = F.avg_pool2d(rgb, 4).flatten(1)
    drop = set()
    for s in sets:  # near duplicates inside one set (e.g. man/woman versions of one drawing)
        j = [k for k in range(len(idx)) if meta[idx[k]]['set'] == s]
        d = torch.cdist(tiny[j], tiny[j]) / math.sqrt(tiny.shape[1])
        for p, q in (d < 0.012).nonzero().tolist():
            if p < q:
                drop.add(j[q])
    k = [i for i in range(len(idx)) if i not in drop]
    rgb = rgb[k]
    idx = [idx[i] for i in k]
    M = [meta[i] for i in idx]
    print(
        'kept',
        len(idx),
        collections.Counter(m['set'] for m in M),
        'near duplicates',
        len(drop),
        'concepts',
        len({m['label'] for m in M}),
    )
    df = collections.Counter(t for m in M for t in set(m['tags']))
    info = analyse(rgb)
    ok = info[4]
    print('recolourable', int(ok.sum()))
    vec, cap, base = [], [], []  # packed pictures, caption lists, (base picture, kind)

    def captions(m):
        l = norm_label(m)
        cs = [l] * 8
        fr = m['fr']
        if fr:
            cs += [fr] * 4
        if m['tags']:
            p = [1 / df[t] for t in m['tags']]
            cs += [random.choices(m['tags'], p)[0] for _ in range(4)]
            cs += [l + ' ' + random.choices(m['tags'], p)[0] for _ in range(3)]
        if m['frtags']:
            cs += [random.choice(m['frtags']) for _ in range(1)]
        cs.append(m['name'].replace('-', ' '))
        return cs

    def strip(s):
        return ' '.join(w for w in words(s) if w not in COLOUR_WORDS)

    def add(x, caps, kind, ids):
        vec.append(pack(x))
        cap.extend(caps)
        base.extend((i, kind) for i in ids)

    al = list(range(len(M)))
    C = [captions(m) for m in M]
    add(rgb, C, 0, al)
    add(rgb.flip(3), C, 0, al)
    for _ in range(a.jitters):
        add(jitter(rgb), C, 0, al)
    held = set(HELD_OUT)
    nheld = 0
    for col, (target, frc) in COLOURS.items():
        ids = []
        caps = []
        for i in al:
            if not ok[i]:
                continue
            m = M[i]
            ws = set(words(norm_label(m))) | {w for t in m['tags'] for w in words(t)}
            if any(c == col and n in ws for c, n in held):
                nheld += 1
                continue
            if col in words(m['label']):
                continue
            l = strip(norm_label(m))
            if not l:
                continue
            cs = [col + ' ' + l] * 5
            if m['fr']:
                cs += [strip(m['fr']) + ' ' + frc] * 3
            if m['tags']:
                p = [1 / df[t] for t in m['tags']]
                cs += [col + ' ' + strip(random.choices(m['tags'], p)[0]) for _ in range(2)]
            ids.append(i)
            caps.append(cs)
        x = recolour(rgb[ids], tuple(v[ids] for v in info), target)
        for v in (x, x.flip(3), jitter(x)):
            add(v, caps, 1, ids)
    print('pairs withheld', nheld)
    V = torch.cat(vec)
    kind = torch.tensor([b[1] for b in base])
    pic = torch.tensor([b[0] for b in base])
    print('variants', tuple(V.shape), collections.Counter(kind.tolist()))
    wt = torch.where(kind == 0, 1.0, 0.35 * (kind == 0).sum() / (kind == 1).sum())
    mean = (V * wt[:, None]).sum(0) / wt.sum()
    sel = torch.multinomial(wt, 30000, replacement=True)
    Xc = V[sel] - mean
    cov = Xc.T @ Xc / len(sel)
    total = cov.diagonal().sum()
    Q = torch.randn(len(cov), 1100)
    for _ in range(7):
        Q = torch.from_numpy(np.linalg.qr((cov @ Q).numpy())[0])  # subspace iteration
    ev, R = np.linalg.eigh((Q.T @ cov @ Q).numpy().astype(np.float64))
    ev = torch.from_numpy(ev[::-1].copy()).float()
    U = Q @ torch.from_numpy(R[:, ::-1].copy()).float()
    for K in (256, 384, 512, 768, 1024):
        r = (Xc[:2000] @ U[:, :K]) @ U[:, :K].T + mean
        e = (unpack(r) - unpack(V[sel[:2000]])).pow(2).mean()
        print('K', K, 'var %.4f' % (ev[:K].sum() / total), 'rgb rmse %.4f' % e.sqrt())
    if a.preview:
        from PIL import Image

        g = torch.randint(0, len(V), (160,))
        im = torch.stack([unpack(V[g]), unpack((V[g] - mean) @ U[:, :512] @ U[:, :512].T + mean)], 1).flatten(0, 1)
        Image.fromarray(
            (im.reshape(16, 20, 3, 64, 64).permute(0, 3, 1, 4, 2).reshape(1024, 1280, 3) * 255).byte().numpy()
        ).save(a.preview)
    K = a.k
    U = U[:, :K].contiguous()
    Z = (V - mean) @ U
    torch.save(
        dict(
            Z=Z,
            U=U,
            mean=mean,
            sd=ev[:K].sqrt(),
            caps=cap,
            kind=kind,
            pic=pic,
            meta=M,
            style=[M[i]['set'] for i, _ in base],
            sets=sets,
            rgb=(rgb * 255).byte(),
        ),
        a.out,
    )


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', default='.')
    p.add_argument('--out', default='corpus.pt')
    p.add_argument('--sets', default='noto,fluent-emoji-flat')
    p.add_argument('--preview', default='')
    p.add_argument('--k', type=int, default=768, help='size of the basis')
    p.add_argument('--jitters', type=int, default=2)
    prep(p.parse_args())
