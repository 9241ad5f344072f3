"""Pictures and captions for training:  corpus.py DATA_DIR OUT.pt [--sets a,b,c] [--k 512]

DATA_DIR holds data.json and data.rgb of render.js. Filters, recolours, cleans captions, fits the picture basis.
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

from words import COLOURS, JOIN, NUMBERS, STOP, plain, singular, words

SIZE, CW = 64, 1.3       # CW: weight of a half-resolution chroma sample against a luma sample
SETS = 'noto,fluent-emoji-flat,twemoji'
# colour-noun pairs never shown in training: the composition test
HELD_OUT = [('purple', 'apple'), ('green', 'dog'), ('blue', 'pizza'), ('red', 'cat'), ('pink', 'tree'), ('yellow', 'car'),
            ('green', 'rocket'), ('purple', 'house'), ('blue', 'banana'), ('red', 'fish'), ('green', 'rose'), ('black', 'mushroom'),
            ('blue', 'fire'), ('pink', 'airplane'), ('orange', 'butterfly'), ('red', 'moon'), ('purple', 'bicycle'), ('green', 'crown'),
            ('blue', 'strawberry'), ('yellow', 'elephant')]
CANON = {  # everyday words -> the concepts they shall draw, the first by default, any of them by the seed
    'house': 'house', 'car': 'automobile', 'voiture': 'automobile', 'auto': 'automobile', 'tree': 'deciduous tree|evergreen tree|palm tree', 'arbre': 'deciduous tree|evergreen tree|palm tree',
    'moon': 'crescent moon|full moon', 'lune': 'crescent moon|full moon', 'boat': 'sailboat|motor boat', 'bateau': 'sailboat|motor boat', 'plane': 'airplane', 'avion': 'airplane',
    'flower': 'hibiscus|tulip|sunflower|blossom', 'fleur': 'hibiscus|tulip|sunflower|blossom', 'smiling face': 'smiling face with smiling eyes', 'visage souriant': 'smiling face with smiling eyes',
    'smile': 'smiling face with smiling eyes', 'smiley': 'smiling face with smiling eyes', 'sad face': 'frowning face', 'angry': 'angry face', 'computer': 'laptop|desktop computer',
    'ordinateur': 'laptop|desktop computer', 'phone': 'mobile phone|telephone', 'burger': 'hamburger', 'bike': 'bicycle', 'velo': 'bicycle', 'apple': 'red apple', 'pomme': 'red apple',
    'heart': 'red heart', 'coeur': 'red heart', 'love': 'red heart', 'amour': 'red heart', 'ball': 'soccer ball|basketball', 'ballon de foot': 'soccer ball', 'book': 'closed book|open book',
    'livre': 'closed book|open book', 'house garden': 'house with garden', 'shoe': 'running shoe', 'chaussure': 'running shoe', 'hat': 'top hat', 'chapeau': 'top hat', 'flag': 'triangular flag',
    'cake': 'birthday cake|shortcake', 'gateau': 'birthday cake|shortcake', 'coffee': 'hot beverage', 'cafe': 'hot beverage', 'beer': 'beer mug', 'biere': 'beer mug', 'wine': 'wine glass', 'vin': 'wine glass',
    'rain': 'cloud with rain', 'pluie': 'cloud with rain', 'storm': 'cloud with lightning', 'orage': 'cloud with lightning', 'snow': 'snowflake', 'neige': 'snowflake', 'wave': 'water wave', 'vague': 'water wave',
    'lightning': 'high voltage', 'eclair': 'high voltage', 'gift': 'wrapped gift', 'cadeau': 'wrapped gift', 'clock': 'clock', 'horloge': 'clock', 'lamp': 'light bulb', 'lampe': 'light bulb',
    'whale': 'spouting whale|whale', 'baleine': 'spouting whale|whale', 'train': 'locomotive|high-speed train', 'pumpkin': 'jack-o-lantern', 'citrouille': 'jack-o-lantern', 'ice cream': 'ice cream|soft ice cream',
    'glace': 'ice cream|soft ice cream', 'dinosaur': 'sauropod|T-Rex', 'dinosaure': 'sauropod|T-Rex', 'fruit': 'red apple|pear|banana|strawberry', 'bird': 'bird|eagle|parrot', 'oiseau': 'bird|eagle|parrot',
    'fish': 'fish|tropical fish|blowfish', 'poisson': 'fish|tropical fish|blowfish', 'vehicle': 'automobile|bus|delivery truck', 'truck': 'delivery truck', 'camion': 'delivery truck', 'cup': 'teacup without handle',
    'sword': 'crossed swords', 'epee': 'crossed swords', 'glasses': 'glasses', 'music': 'musical note', 'musique': 'musical note', 'island': 'desert island', 'ile': 'desert island', 'mountain': 'mountain|snow-capped mountain',
    'montagne': 'mountain|snow-capped mountain', 'star': 'star', 'etoile': 'star', 'sun': 'sun', 'soleil': 'sun', 'chien': 'dog', 'chat': 'cat', 'camera': 'camera', 'television': 'television', 'tv': 'television', 'pig': 'pig'}

# ---------------------------------------------------------------- pictures (N,3,64,64 in 0..1)


def to_ycc(rgb):
    r, g, b = rgb[:, 0:1], rgb[:, 1:2], rgb[:, 2:3]
    y = .299 * r + .587 * g + .114 * b
    return y, torch.cat([(b - y) / 1.772, (r - y) / 1.402], 1)


def to_rgb(y, c):
    cb, cr = c[:, 0:1], c[:, 1:2]
    return torch.cat([y + 1.402 * cr, y - .344136 * cb - .714136 * cr, y + 1.772 * cb], 1).clamp(0, 1)


def pack(rgb):
    """6,144 numbers: luma 64 x 64, chroma 2 x 32 x 32."""
    y, c = to_ycc(rgb)
    return torch.cat([y.flatten(1), CW * F.avg_pool2d(c, 2).flatten(1)], 1)


def unpack(v):
    y = v[:, :SIZE * SIZE].reshape(-1, 1, SIZE, SIZE)
    c = v[:, SIZE * SIZE:].reshape(-1, 2, SIZE // 2, SIZE // 2) / CW
    return to_rgb(y, F.interpolate(c, scale_factor=2, mode='bilinear', align_corners=False))


def develop(v):
    """The output tables: near-white becomes white, faint chroma none."""
    y = (v[:, :SIZE * SIZE] / .975).clamp(0, 1)
    y = torch.where(y > .9, (.9 + (y - .9) * 1.6).clamp(max=1), y)
    c = v[:, SIZE * SIZE:] / CW
    return unpack(torch.cat([y, torch.sign(c) * (c.abs() - .012).clamp(min=0) * 1.03 * CW], 1))


def foreground(rgb):
    white = (rgb.amin(1, keepdim=True) > .97).float()
    bg = torch.zeros_like(white)
    bg[:, :, 0] = bg[:, :, -1] = 1
    bg[:, :, :, 0] = bg[:, :, :, -1] = 1
    bg *= white
    for _ in range(90):
        bg = F.max_pool2d(bg, 3, 1, 1) * white
    return 1 - bg


def analyse(rgb):
    """Which pixels carry the object's own colour: (weight map, mean luma, mean chroma size, by hue?, usable)."""
    fg = foreground(rgb)
    y, c = to_ycc(rgb)
    m = c.norm(dim=1, keepdim=True)
    h = torch.atan2(c[:, 1:2], c[:, 0:1])
    bins = ((h + math.pi) / (2 * math.pi) * 36).long().clamp(0, 35)
    hist = torch.zeros(len(rgb), 36)
    hist.scatter_add_(1, bins.flatten(1), (m * fg * (m > .06)).flatten(1))
    hist = hist + .7 * (hist.roll(1, 1) + hist.roll(-1, 1)) + .3 * (hist.roll(2, 1) + hist.roll(-2, 1))
    h0 = ((hist.argmax(1).float() + .5) / 36 * 2 * math.pi - math.pi)[:, None, None, None]
    d = torch.atan2(torch.sin(h - h0), torch.cos(h - h0)).abs() * 180 / math.pi
    wa = ((75 - d) / 25).clamp(0, 1) * ((m - .03) / .05).clamp(0, 1) * fg
    area = fg.sum((1, 2, 3)).clamp(min=1)
    cover = wa.sum((1, 2, 3)) / area
    wb = fg * ((.08 - m) / .04).clamp(0, 1) * ((y - .2) / .1).clamp(0, 1)
    cover_b = wb.sum((1, 2, 3)) / area
    a = (cover >= .22)[:, None, None, None]
    w = torch.where(a, wa, wb)
    s = w.sum((1, 2, 3), keepdim=True).clamp(min=1)
    y0 = (w * y).sum((1, 2, 3), keepdim=True) / s
    m0 = torch.where(a, (w * m).sum((1, 2, 3), keepdim=True) / s, torch.tensor(1.))
    return w, y0, m0, a, (cover >= .22) | (cover_b >= .4)


def recolour(rgb, info, target):
    w, y0, m0, a, _ = info
    y, c = to_ycc(rgb)
    m = c.norm(dim=1, keepdim=True)
    ty, tc = to_ycc(torch.tensor(target).float().reshape(1, 3, 1, 1) / 255)
    y2 = (y + w * .75 * (ty - y0)).clamp(0, 1)
    gain = torch.where(a, (m / m0).clamp(.5, 1.2), (1.15 - (y - y0).abs()).clamp(.4, 1.))
    return to_rgb(y2, c * (1 - w) + w * tc * gain)


# ---------------------------------------------------------------- which pictures, which captions


def keep(m):
    l, g = m['label'], m['group']
    if g in (-1, 2, 9):
        return False
    if re.match(r'(man|woman|men|women|family|person|couple|kiss|people|woman and|man and)\b.*[:, ]', l):
        return False
    if re.search(r'keycap|skin tone|facing right|letter [a-z]$|Japanese|thirty|button|input |arrow|blood type', l):
        return False
    if re.search(r'o.clock', l) and not l.startswith('three'):
        return False
    signs = r'sign|symbol|prohibited|no |restroom|mark$|loop|slash|part alternation|asterisk|star of|cross$'
    return g != 8 or not re.search(signs, l) or bool(re.search(r'check|peace|infinity|recycling|question|radioactive|warning', l))


def load(data, sets):
    """One picture per (set, label): metadata and N x 3 x 64 x 64 in 0..1."""
    meta = json.load(open(data + '/data.json', encoding='utf-8'))
    raw = np.memmap(data + '/data.rgb', dtype=np.uint8, mode='r').reshape(-1, SIZE, SIZE, 3)
    idx, seen = [], set()
    for i, m in enumerate(meta):
        if m['set'] in sets and keep(m) and (m['set'], m['label']) not in seen:
            seen.add((m['set'], m['label']))
            idx.append(i)
    out = []
    for i in idx:
        m = dict(meta[i])
        if m['label'].startswith('three o'):
            m.update(label='clock', fr='horloge', name='clock')
        out.append(m)
    return out, torch.from_numpy(raw[idx].astype(np.float32) / 255).permute(0, 3, 1, 2).contiguous()


def captions(concepts):
    """label -> [(weight, caption words)]: a caption that is some concept's own name is that concept's alone, any other
    bare tag belongs to the one concept that it names best. Also returns the variants for the seed."""
    owner, users = {}, collections.defaultdict(set)
    for l, m in concepts.items():
        owner[tuple(words(l))] = l
    for l, m in concepts.items():
        if m['fr']:
            owner.setdefault(tuple(words(m['fr'])), l)
    variants = {}
    for w, ls in CANON.items():
        ls = [l for l in ls.split('|') if l in concepts]
        if ls:
            owner[tuple(words(w))] = ls[0]
            if len(ls) > 1:
                variants[' '.join(words(w))] = [' '.join(words(l)) for l in ls]
    for l, m in concepts.items():
        for t in m['tags'] + m['frtags'] + [m['name']]:
            users[tuple(words(t))].add(l)
    for w, ls in users.items():
        if w and w not in owner:
            own = [l for l in ls if set(w) <= set(words(l))] or [l for l in ls if set(w) <= set(words(concepts[l]['fr'] or ''))]
            owner[w] = sorted(own or ls, key=lambda l: (concepts[l]['group'] in (1, 8), len(words(l)), len(l), l))[0]
    out = collections.defaultdict(list)
    for w, l in owner.items():
        own = w == tuple(words(l)) or w == tuple(words(concepts[l]['fr'] or ''))
        out[l].append((6. if w == tuple(words(l)) else 4. if own else 3. if ' '.join(w) in CANON else .8, w))
    for l, m in concepts.items():
        for t in m['tags'][:6]:
            extra = tuple(x for x in words(t) if x not in words(l) and x not in COLOURS)
            if extra:
                out[l].append((.3, tuple(words(l)) + extra))
    return out, variants


def joined_names(concepts):
    """Known names that hold a joining word or start with a number: neither separates or counts there."""
    out = set()
    for l, m in concepts.items():
        for t in [l, m['fr'] or '', m['name']] + m['tags'] + m['frtags']:
            ws = [w if w in JOIN else singular(w) for w in plain(t) if w not in STOP]
            while ws and ws[0] in JOIN:
                ws = ws[1:]
            while ws and ws[-1] in JOIN:
                ws = ws[:-1]
            if len(ws) > 1 and (ws[0] in NUMBERS or any(w in JOIN for w in ws)):
                out.add(tuple(ws))
    return sorted(out)


def typo(rng, w):
    if len(w) < 4:
        return w
    i, k = rng.randrange(1, len(w) - 1), rng.randrange(4)
    return [w[:i] + w[i + 1:], w[:i] + w[i] + w[i:], w[:i] + w[i + 1] + w[i] + w[i + 2:], w[:i] + rng.choice('aeinorst') + w[i + 1:]][k]


def held_out(m):
    ws = set(words(m['label'])) | {w for t in m['tags'] for w in words(t)} | {k for k, ls in CANON.items() if m['label'] in ls.split('|')}
    return {c for c, n in HELD_OUT if n in ws}


def build(a):
    rng = random.Random(0)
    torch.manual_seed(0)
    M, rgb = load(a.data, a.sets.split(','))
    concepts = {}
    for m in M:
        concepts.setdefault(m['label'], m)
    caps, variants = captions(concepts)
    print('without a caption of their own (dropped):', sorted(l for l in concepts if not any(k > .5 for k, _ in caps[l])))
    ok = [i for i, m in enumerate(M) if any(k > .5 for k, _ in caps[m['label']])]
    M, rgb = [M[i] for i in ok], rgb[ok]
    concepts = {l: m for l, m in concepts.items() if any(k > .5 for k, _ in caps[l])}
    print(len(M), 'pictures', collections.Counter(m['set'] for m in M), len(concepts), 'concepts', sum(map(len, caps.values())), 'captions')
    table, pool, vec, pic, kind = {}, [], [], [], []

    def index(ws):
        return table.setdefault(tuple(ws), len(table))

    def add(x, ids, colour):
        vec.append(pack(x))
        for i in ids:
            l = M[i]['label']
            cs = [(k, w) for k, w in caps[l] if not colour or k > .5 or rng.random() < .5]
            if colour:
                cs = [(k, (colour,) + tuple(x for x in w if x not in COLOURS)) for k, w in cs]
            chosen = rng.choices([w for _, w in cs], [k for k, _ in cs], k=a.pool)
            for j in range(a.pool // 16):
                chosen[j] = tuple(w if w in COLOURS else typo(rng, w) if rng.random() < .7 else w for w in chosen[j])
            pool.append([index(w) for w in chosen])
            pic.append(i)
            kind.append(list(COLOURS).index(colour) + 1 if colour else 0)

    add(rgb, list(range(len(M))), None)
    info = [torch.cat(p) for p in zip(*[analyse(rgb[i:i + 200]) for i in range(0, len(rgb), 200)])]
    withheld = 0
    for colour, target in COLOURS.items():
        ids = []
        for i, m in enumerate(M):
            if not info[4][i] or colour in words(m['label']):
                continue
            if colour in held_out(m):
                withheld += 1
            elif any(w not in COLOURS for w in words(m['label'])):
                ids.append(i)
        add(torch.cat([recolour(rgb[j], [v[j] for v in info], target) for j in (ids[k:k + 300] for k in range(0, len(ids), 300))]), ids, colour)
    V, pic, kind = torch.cat(vec), torch.tensor(pic), torch.tensor(kind)
    print('variants', tuple(V.shape), 'pairs withheld', withheld, 'captions', len(table), flush=True)
    # the picture basis: principal components by subspace iteration
    w = torch.where(kind == 0, 1., .5 * (kind == 0).sum() / (kind > 0).sum())
    w /= w.sum()
    mean = (V * w[:, None]).sum(0)
    V -= mean
    cov = np.zeros((V.shape[1], V.shape[1]), np.float32)
    for i in range(0, len(V), 4000):
        x = (V[i:i + 4000] * w[i:i + 4000, None].sqrt()).numpy()
        cov += x.T @ x
    Q = np.random.RandomState(0).randn(len(cov), a.k + a.k // 4).astype(np.float32)
    for _ in range(7):
        Q = np.linalg.qr(cov @ Q)[0]
    ev, R = np.linalg.eigh(Q.T @ (cov @ Q))
    U = torch.from_numpy((Q @ R[:, ::-1][:, :a.k]).astype(np.float32)).contiguous()
    sd = torch.from_numpy(ev[::-1][:a.k].copy()).float().clamp(min=1e-9).sqrt()
    Z = torch.cat([V[i:i + 4000] @ U for i in range(0, len(V), 4000)])
    r = torch.arange(0, len(V), max(1, len(V) // 1500))
    e = (unpack(Z[r] @ U.T + mean) - unpack(V[r] + mean)).pow(2).mean().sqrt()
    print('basis %d: rgb rmse %.4f' % (a.k, e))
    # vocabulary
    count = collections.Counter(w for ws in caps.values() for _, c in ws for w in c)
    for l, m in concepts.items():
        for t in [l, m['fr'] or ''] + m['tags'] + m['frtags'] + [m['name']]:
            count.update(singular(x) for x in plain(t) if x not in STOP and x not in JOIN)
    for c in 'red orange yellow green blue purple pink brown black white grey gray rouge jaune vert verte bleu bleue violet violette rose brun brune marron noir noire blanc blanche grise gri'.split() + list(CANON):
        for x in plain(c):
            count[singular(x)] += 30
    torch.save(dict(Z=Z.half(), U=U, mean=mean, sd=sd, pool=torch.tensor(pool, dtype=torch.int32), table=[list(k) for k in table], pic=pic, kind=kind,
                    meta=M, sets=a.sets.split(','), vocabulary=dict(count), joined=joined_names(concepts), variants=variants,
                    captions={l: [(k, list(w)) for k, w in v] for l, v in caps.items()}), a.out)
    print('vocabulary', len(count), 'variants', len(variants))


if __name__ == '__main__':
    p = argparse.ArgumentParser()
    p.add_argument('data'), p.add_argument('out')
    p.add_argument('--sets', default=SETS)
    p.add_argument('--k', type=int, default=512)
    p.add_argument('--pool', type=int, default=32)
    p.add_argument('--threads', type=int, default=1)
    torch.set_num_threads(p.parse_args().threads)
    build(p.parse_args())
