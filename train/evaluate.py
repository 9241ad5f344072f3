"""Figures and contact sheets of the integer model:

  evaluate.py MODEL DATA_DIR OUT_DIR --judge NAME=A.pt,NAME=B.pt --colour NAME=C.pt [--sheets]

MODEL is a .pt of train.py, or a folder that quantise.py wrote: the product itself, without floats to compare it with.
Judges of judge.py, by names: those of --judge say which thing it is, those of --colour which colour. picture.sh has two
trained on the generator's own sets and larger ones, of another architecture, on sets that it never saw (UNSEEN).
Beside each figure stands the ceiling: the same judge on real pictures.
"""
import argparse
import json
import os
import random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from corpus import HELD_OUT, analyse, held_out, joined_names, load, recolour, typo
from judge import open_judge
from pixelmodel import LAYOUTS, Integer, Painter, open_model, pose
from quantise import calibrated, open_checkpoint, quantise, tintable
from words import COLOURS, STYLES, Lexicon, words

UNSEEN = 'noto-v1,emojione'
KNOWN = ('red apple;cat face;blue heart;pizza;sun;house with garden;rocket;dog face;tree;airplane;coeur rouge;visage de chat;banana;strawberry;car;bicycle;'
         'fish;butterfly;mushroom;crown;elephant;star;rainbow;fire;ghost;robot;key;umbrella;guitar;soccer ball;book;balloon;hamburger;ice cream;rose;moon;'
         'snowman;boat;pomme verte;smiling face').split(';')
FRENCH = ('une maison;le soleil;un chat noir;une voiture verte;fusée;cheval;des fraises;éléphant;gâteau d’anniversaire;arbre;château;pingouin;pieuvre rose;vélo;'
          'parapluie rouge;lune;ballon;guitare bleue;fromage;papillon;champignon;étoile;bonhomme de neige;poisson').split(';')
SLIPS = ('rde aple;elefant;bannana;guittar;hosue;umbrela;strawbery;butterflly;rockett;cats;two dogs;red apples;les voitures;piza;mushrom;snowmen;zorbify;qwrtp;'
         'blue zorb;fisch;vioture;chapeu;hambuger;pinguin').split(';')
SCENES = ('a cat and a red car;a red house with a blue tree;un chien et une pomme verte;a rocket and a moon;three cats;deux voitures bleues et un arbre;sun, tree and house;a blue fish and a yellow fish;'
          'a green car and a purple car;a pizza and a beer;a black cat and a white dog;une étoile rouge et un coeur bleu;a ghost and a pumpkin;a robot with a guitar;'
          'elephant and mouse;a crown and a rose;a bicycle and an umbrella;fork and knife').split(';')


def to_torch(rgb):
    return torch.from_numpy(rgb.astype(np.float32) / 255).permute(0, 3, 1, 2)


def to_numpy(x):
    return (x.permute(0, 2, 3, 1).numpy() * 255 + .5).astype(np.uint8)


def sheet(rgb, columns, path, zoom=1):
    rows = -(-len(rgb) // columns)
    a = np.full((rows * columns, 64, 64, 3), 255, np.uint8)
    a[:len(rgb)] = rgb
    a = a.reshape(rows, columns, 64, 64, 3).transpose(0, 2, 1, 3, 4).reshape(rows * 64, columns * 64, 3)
    im = Image.fromarray(a)
    im.resize((im.width * zoom, im.height * zoom), Image.BICUBIC).save(path)


class Judges:
    def __init__(self, things, colours):
        self.things, self.hues = ({n: open_judge(p) for n, p in (x.split('=') for x in s.split(',') if x)} for s in (things, colours))

    @staticmethod
    @torch.no_grad()
    def scores(judge, rgb):
        return torch.cat([judge[0](F.avg_pool2d(to_torch(rgb[i:i + 200]), 2)) for i in range(0, len(rgb), 200)])

    def among50(self, judge, rgb, labels):
        """Share of pictures whose own concept scores highest among 50 (49 drawn at random)."""
        ix = {l: i for i, l in enumerate(judge[1])}
        use = [j for j, l in enumerate(labels) if l in ix]
        if not use:
            return None
        s, rng, good = self.scores(judge, rgb[use]), random.Random(9), []
        for r, j in enumerate(use):
            others = rng.sample([l for l in judge[1] if l != labels[j]], 49)
            good.append(bool(s[r, ix[labels[j]]] >= s[r, [ix[l] for l in others]].max()))
        return round(float(np.mean(good)), 3)

    def both(self, rgb, labels):
        return {n: self.among50(j, rgb, labels) for n, j in self.things.items()}

    def colours(self, rgb, names):
        """Share of pictures of the colour that was asked for, by judge."""
        return {n: round(float(np.mean([j[1][k] == c for k, c in zip(self.scores(j, rgb).argmax(1).tolist(), names)])), 3) for n, j in self.hues.items()}


def main(a):
    torch.set_num_threads(1)
    os.makedirs(a.out, exist_ok=True)
    product = os.path.isdir(a.model)
    d, D = (None, dict(sets=STYLES)) if product else open_checkpoint(a.model)
    styles = D['sets']
    M, rgb = load(a.data, styles)
    real = to_numpy(rgb)
    look = {(m['set'], m['label']): i for i, m in enumerate(M)}
    concepts = {m['label']: m for m in M}
    joined = joined_names(concepts)
    rng, floats = random.Random(5), None
    if product:
        exact = open_model(a.model)
        integer, lex, R = exact.net, exact.lex, {}
    else:
        lex = Lexicon(D['vocabulary'], joined, D['variants'], tintable(concepts))
        f = calibrated(d, concepts, styles)
        integer = Integer(quantise(f))
        f.seen = None
        exact, floats = Painter(integer, lex, styles), Painter(f, lex, styles)
        R = dict(training=', then '.join(D['history']))

    # integers against floats
    P = KNOWN * 3 + ['%s %s' % p for p in HELD_OUT] * 3
    st = [s for s in styles for _ in KNOWN] + [s for s in styles for _ in HELD_OUT]
    x = exact.pictures(P, [1] * len(P), st, True)
    if floats:
        y = floats.pictures(P, [1] * len(P), st, True)
        q = 10 * np.log10(255 ** 2 / np.maximum(((x.astype(float) - y) ** 2).mean((1, 2, 3)), 1e-9))
        R['psnr_integer_to_float'] = dict(median=round(float(np.median(q)), 1), p10=round(float(np.quantile(q, .1)), 1), least=round(float(q.min()), 1), pictures=len(q))
    if a.sheets:
        n = len(KNOWN)
        sheet(np.concatenate([x[s * n + h:s * n + h + 20] for h in (0, 20) for s in range(3)]), 20, a.out + '/known_styles.png')
        sheet(np.concatenate([exact.pictures(KNOWN[i:i + 20], [s * 7919 + i + j for j in range(len(KNOWN[i:i + 20]))]) for i in (0, 20) for s in range(4)]), 20, a.out + '/known_seeds.png')
        names = ['%s %s' % (c, {'dog': 'dog face', 'cat': 'cat face'}.get(n_, n_)) for c, n_ in HELD_OUT]
        sheet(np.concatenate([exact.pictures(names, [1] * 20, [s] * 20, True) for s in styles]), 20, a.out + '/held_out.png')
        sheet(np.concatenate([exact.pictures(FRENCH, [s] * len(FRENCH)) for s in (2, 5)]), 24, a.out + '/french.png')
        sheet(np.concatenate([exact.pictures(SLIPS, [s] * len(SLIPS)) for s in (2, 5)]), 24, a.out + '/slips.png')
        sheet(np.concatenate([exact.pictures(SCENES, [s] * len(SCENES)) for s in (1, 2, 3, 5)]), len(SCENES), a.out + '/scenes.png')
        rg = random.Random(77)
        ls = rg.sample([l for l in concepts if concepts[l]['group'] not in (1, 8)], 60)
        g = exact.pictures(ls, [1] * 60, ['noto', 'fluent-emoji-flat', 'twemoji'] * 20, True)
        rr = np.stack([real[look.get((s, l), look[(styles[0], l)])] for l, s in zip(ls, ['noto', 'fluent-emoji-flat', 'twemoji'] * 20)])
        sheet(np.concatenate([z for i in range(0, 60, 20) for z in (rr[i:i + 20], g[i:i + 20])]), 20, a.out + '/random_real_above_made.png')
        json.dump(dict(random=ls, slips={s: lex.things(s) for s in SLIPS}, scenes={s: lex.things(s) for s in SCENES}, french={s: lex.things(s) for s in FRENCH}), open(a.out + '/prompts.json', 'w'), indent=1, ensure_ascii=False)
    if not a.judge:
        print(json.dumps(R, indent=1))
        return

    J = Judges(a.judge, a.colour)
    common = sorted(l for l in concepts if concepts[l]['group'] not in (1, 8))
    pick = rng.sample(common, a.n)
    seeds = [500 + i for i in range(len(pick))]
    st = [styles[i % len(styles)] for i in range(len(pick))]
    def truth(ls, ss):
        return np.stack([real[look.get((s, l), look.get((styles[0], l), look.get((styles[-1], l))))] for l, s in zip(ls, ss)])
    R['among_50'] = A = {}
    A['real pictures of the training sets (ceiling)'] = J.both(truth(pick, st), pick)
    M2, rgb2 = load(a.data, UNSEEN.split(','))
    k = [i for i, m in enumerate(M2) if m['label'] in set(common)][:a.n]
    A['real pictures of sets never seen'] = J.both(to_numpy(rgb2[k]), [M2[i]['label'] for i in k])
    A['English name, unposed'] = J.both(exact.pictures(pick, seeds, st, True), pick)
    A['English name, as the seed chooses'] = J.both(exact.pictures(pick, seeds), pick)
    if floats:
        A['float, English name, unposed'] = J.both(floats.pictures(pick, seeds, st, True), pick)
    fr = [l for l in pick if concepts[l]['fr']]
    A['French name'] = J.both(exact.pictures([concepts[l]['fr'] for l in fr], seeds[:len(fr)], st[:len(fr)], True), fr)
    bad = [' '.join(typo(rng, w) for w in l.split()) for l in pick]
    A['one slip in every word'] = J.both(exact.pictures(bad, seeds, st, True), pick)
    off = Painter(integer, Lexicon({}, joined, keep=True), styles)      # corrects nothing
    A['same, without the spelling table'] = J.both(off.pictures(bad, seeds, st, True), pick)
    A['plural'] = J.both(exact.pictures([l + 's' for l in pick], seeds, st, True), pick)

    # colours
    R['colour'] = C = {}
    def recoloured(i, c):
        x1 = rgb[i:i + 1]
        return to_numpy(recolour(x1, analyse(x1), COLOURS[c]))[0]
    names = {'apple': 'red apple', 'tree': 'deciduous tree', 'car': 'automobile', 'moon': 'crescent moon', 'dog': 'dog face', 'cat': 'cat face'}
    hp = [(c, {'dog': 'dog face', 'cat': 'cat face'}.get(n, n), names.get(n, n)) for c, n in HELD_OUT]
    made = np.concatenate([exact.pictures([c + ' ' + n for c, n, _ in hp], [1] * 20, [s] * 20, True) for s in styles])
    cols, labs = [c for c, _, _ in hp] * len(styles), [l for _, _, l in hp] * len(styles)
    ideal = np.stack([recoloured(look[(s, l)], c) for s in styles for c, _, l in hp])
    C['held-out pairs'] = dict(right=J.colours(made, cols), ceiling=J.colours(ideal, cols), noun=J.both(made, labs), noun_ceiling=J.both(ideal, labs), pictures=len(made))
    if a.sheets:
        sheet(np.concatenate([z for s in range(3) for z in (ideal[s * 20:s * 20 + 20], made[s * 20:s * 20 + 20])]), 20, a.out + '/held_out_ideal_above_made.png')
    # and every other picture whose colour was withheld with them, by its own name
    info = [torch.cat(p) for p in zip(*[analyse(rgb[i:i + 200]) for i in range(0, len(rgb), 200)])]
    wp = [(i, c) for i, m in enumerate(M) if info[4][i] for c in sorted(held_out(m)) if c not in words(m['label']) and any(w not in COLOURS for w in words(m['label']))]
    made = exact.pictures([c + ' ' + M[i]['label'] for i, c in wp], [1] * len(wp), [M[i]['set'] for i, _ in wp], True)
    ideal, cols, labs = np.stack([recoloured(i, c) for i, c in wp]), [c for _, c in wp], [M[i]['label'] for i, _ in wp]
    C['all pictures withheld'] = dict(right=J.colours(made, cols), ceiling=J.colours(ideal, cols), noun=J.both(made, labs), noun_ceiling=J.both(ideal, labs), pictures=len(made))
    ok = analyse(to_torch(truth(pick[:200], st[:200])))[4].tolist()
    pc = [(l, s, rng.choice(list(COLOURS))) for l, s, o in zip(pick[:200], st[:200], ok) if o and (s, l) in look and not any(w in COLOURS for w in words(l))]
    made = exact.pictures([c + ' ' + l for l, _, c in pc], seeds[:len(pc)], [s for _, s, _ in pc], True)
    ideal = np.stack([recoloured(look[(s, l)], c) for l, s, c in pc])
    C['random pairs, mostly trained'] = dict(right=J.colours(made, [c for _, _, c in pc]), ceiling=J.colours(ideal, [c for _, _, c in pc]), noun=J.both(made, [l for l, _, _ in pc]),
                                             noun_ceiling=J.both(ideal, [l for l, _, _ in pc]), pictures=len(pc))

    # two things
    nouns = [(l, s) for l, s, _ in pc]
    names2 = [(rng.choice(nouns), rng.choice(nouns), rng.choice(list(COLOURS)), rng.choice(list(COLOURS))) for _ in range(100)]
    prompts = ['a %s %s and a %s %s' % (c1, n1[0], c2, n2[0]) for n1, n2, c1, c2 in names2]
    split = [len(lex.things(p)) == 2 for p in prompts]
    def parts(rgbs):      # cut each thing out again, at the size of a whole picture
        out = []
        for im in rgbs:
            for size, x0, y0 in LAYOUTS[2][0]:
                out.append(np.asarray(Image.fromarray(im[y0:y0 + size, x0:x0 + size]).resize((64, 64), Image.BICUBIC)))
        return np.stack(out)
    good = [i for i, s in enumerate(split) if s]
    made = parts(exact.pictures([prompts[i] for i in good], [3] * len(good), ['noto'] * len(good), True))
    def scene(i):
        canvas = None
        for (size, x0, y0), (n, c) in zip(LAYOUTS[2][0], ((names2[i][0], names2[i][2]), (names2[i][1], names2[i][3]))):
            canvas = pose(recoloured(look.get(('noto', n[0]), look[(n[1], n[0])]), c), 0, 256, 0, size, x0, y0, canvas)
        return canvas.astype(np.uint8)
    ideal = parts(np.stack([scene(i) for i in good]))
    l2, c2 = [n for i in good for n in (names2[i][0][0], names2[i][1][0])], [c for i in good for c in names2[i][2:]]
    R['two_things'] = dict(split_right=round(float(np.mean(split)), 3), noun=J.both(made, l2), noun_ceiling=J.both(ideal, l2), colour=J.colours(made, c2), colour_ceiling=J.colours(ideal, c2))

    # spread and memory
    small = lambda x: F.avg_pool2d(to_torch(x), 2).flatten(1)
    rm = lambda u, v: torch.cdist(u, v) / u.shape[1] ** .5
    g = [small(exact.pictures(KNOWN, [100 + s] * 40)) for s in range(6)]
    pw = torch.stack([((g[i] - g[j]) ** 2).mean(1).sqrt() for i in range(6) for j in range(i)])
    asked = {w for p in KNOWN + [n for _, n, _ in hp] for w in words(p)} - set(COLOURS)     # recoloured: only the things asked for
    some = [i for i, m in enumerate(M) if asked & (set(words(m['label'])) | {w for t in m['tags'] for w in words(t)})]
    info = [torch.cat(p) for p in zip(*[analyse(rgb[some[i:i + 200]]) for i in range(0, len(some), 200)])]
    bank = [small(real)] + [small(to_numpy(recolour(rgb[some], info, t))) for t in COLOURS.values()]
    near = lambda u: torch.stack([rm(u, b).amin(1) for b in bank]).amin(0)
    still = small(exact.pictures(KNOWN, [100] * 40, None, True))
    heldp = small(exact.pictures([c + ' ' + n for c, n, _ in hp], [1] * 20, ['noto'] * 20, True))
    rb = rm(bank[0][:600], bank[0]); rb[torch.arange(600), torch.arange(600)] = 9
    R['rmse_32x32'] = {k: round(float(v.median()), 3) for k, v in {'between two seeds': pw, 'seed as chosen to nearest training variant': near(g[0]), 'unposed to nearest training variant': near(still),
                       'held-out pair to nearest (its own ideal included)': near(heldp), 'real picture to nearest other real': rb.amin(1)}.items()}
    R['seeds_differing_by_more_than_.05'] = round(float((pw > .05).float().mean()), 3)
    json.dump(R, open(a.out + '/evaluation.json', 'w'), indent=1)
    print(json.dumps(R, indent=1))


if __name__ == '__main__':
    p = argparse.ArgumentParser()
    p.add_argument('model'), p.add_argument('data'), p.add_argument('out')
    for k in ('judge', 'colour'):
        p.add_argument('--' + k, default='')
    p.add_argument('--n', type=int, default=300)
    p.add_argument('--sheets', action='store_true')
    main(p.parse_args())
