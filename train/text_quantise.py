"""Float weights of the text model to the integers of the product:

  text_quantise.py CORPUS.json FLOAT.npz OUT_DIR

OUT_DIR gets weights.bin, concepts.txt and testdata/reference.tsv. Matrices become int8 rows with an own factor each; their inputs int8 with one
static range a channel, the largest value met over the texts of training. The embedding has one range for all of its
numbers, so that a cosine of bytes is a cosine of what they stand for.
"""
import json
import os
import random
import sys

import numpy as np

import textmodel as tm
from scales import channel_scales, multiplier
from tensors import write_tensors

STRANGE = ['Une MAISON à la forêt enneigée, avec des élèves', 'zorbify', 'voiture verte', 'œuf d’or', 'ÉLÉPHANT', 'a' * 80, 'cafe\u0301 au lait',
           'Ёлка и ёж', 'ЇЖАК ґанок', 'Straße', 'Łódź żółw', 'ỚT ĐỎ bánh mì', 'ƯƠ ǎ ș ț Ș', 'x', '猫 cat—dog_3', ' '.join('word%d' % i for i in range(30)),
           '3,14 + 1st!', 'ĦŊŦħŋŧıİſʼnĸ', '\u1e9e\u1e97\u1e98', 'Јован Џон Ђурђа']


def texts(corpus):
    """Every text of training in a fixed random order, the names first."""
    every = [t for c in corpus['train'] for by_language in c.values() for t in by_language]
    random.Random(1).shuffle(every)
    return [t for t, _ in sorted(every, key=lambda x: not x[1])]


def calibrated(corpus, path):
    p = np.load(path)
    net = tm.Float({k: p[k] for k in p.files})
    net.seen = {}
    sample = texts(corpus)[:60000]
    for i in range(0, len(sample), 1000):
        net.embed([tm.encode(tm.words(t)) for t in sample[i:i + 1000]])
    return net


def integers(net):
    p, t = net.p, {}

    def put(name, factors):
        t[name + '.mul'], t[name + '.shift'] = multiplier(factors)

    def layer(name, unit_in, unit_out):
        w = p[name + '.weight'] * unit_in
        unit = np.abs(w).max(1) / 127
        t[name + '.w'] = np.round(w / unit[:, None]).astype(np.int8)
        t[name + '.bias'] = np.round(p[name + '.bias'] / unit).astype(np.int32)
        put(name, unit / unit_out)

    column = np.abs(p['table']).max(0) / 127
    t['table'] = np.round(p['table'] / column).astype(np.int8)
    up, out = channel_scales(net.seen['up']), channel_scales(net.seen['out'])
    put('table', column / tm.ONE / up)
    layer('up', up, out)
    layer('out', out, np.full(tm.SIZE, net.seen['embedding'].max() / 127))
    c = p['concepts'] / np.linalg.norm(p['concepts'], axis=1, keepdims=True)
    t['concepts'] = np.round(c / np.abs(c).max(1, keepdims=True) * 127).astype(np.int8)
    return t


def main(corpus, floats, out):
    corpus = json.load(open(corpus))
    net = calibrated(corpus, floats)
    tensors = integers(net)
    write_tensors(os.path.join(out, 'weights.bin'), tensors)
    with open(os.path.join(out, 'concepts.txt'), 'w', encoding='utf-8') as f:
        f.writelines(f'{emoji}\t{name}\n' for emoji, name in corpus['concepts'])
    sample = [t[2] for t in corpus['tests'][::10]]
    batch = [tm.encode(tm.words(t)) for t in sample]
    net.seen = None
    a, b = net.embed(batch), tm.Integer(tensors).embed(batch)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    print(f'cosine of integer and float vectors over {len(sample)} held-out texts: median {np.median(cosine):.4f}, min {cosine.min():.4f}')
    with open(os.path.join(out, 'testdata', 'reference.tsv'), 'w', encoding='utf-8') as f:
        for text in STRANGE + sample[:40]:
            v = tm.Integer(tensors).embed([tm.encode(tm.words(text))])[0]
            f.write(f'{v.astype(np.int8).tobytes().hex()}\t{text}\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
