"""Retrieval on held-out texts:  text_evaluate.py CORPUS.json (FLOAT.npz | weights.bin) [--json OUT.json] [--no-baseline]

For each text that training never saw, are the concepts that carry it (in that language) nearest, or among the five nearest, of all? The baseline
knows the same training texts and no network: TF-IDF of 3- to 5-letter parts, a concept's texts in all languages in one document, or
each text on its own (the better of the two for tags, and for names, is printed as "letters").
"""
import argparse
import collections
import json

import numpy as np

import textmodel as tm
from tensors import read_tensors


def grams(ws):
    return [('<' + w + '>')[i:i + n] for w in ws for n in (3, 4, 5) for i in range(len(w) + 3 - n)]


class Letters:
    """Cosine of TF-IDF vectors of letter parts."""

    def __init__(self, documents, owner):
        self.owner, self.index = np.asarray(owner), collections.defaultdict(list)
        counts = [collections.Counter(g for text in d for g in grams(tm.words(text))) for d in documents]
        seen = collections.Counter(g for c in counts for g in c)
        self.idf = {g: np.log(len(documents) / n) + .1 for g, n in seen.items()}
        for i, c in enumerate(counts):
            weights = {g: (1 + np.log(n)) * self.idf[g] for g, n in c.items()}
            length = np.sqrt(sum(w * w for w in weights.values()))
            for g, w in weights.items():
                self.index[g].append((i, w / length))
        self.index = {g: (np.array([i for i, _ in x]), np.array([w for _, w in x])) for g, x in self.index.items()}
        self.n = len(documents)

    def nearest(self, text, k=5):
        score = np.zeros(self.n)
        for g, n in collections.Counter(grams(text.split())).items():
            if g in self.index:
                i, w = self.index[g]
                score[i] += w * (1 + np.log(n)) * self.idf[g]
        best = []
        for i in np.argsort(-score, kind='stable')[:200]:
            if score[i] > 0 and self.owner[i] not in best:
                best.append(int(self.owner[i]))
        return best[:k]


def neural(path):
    if path.endswith('.npz'):
        p = np.load(path)
        net, c = tm.Float({k: p[k] for k in p.files}), p['concepts']
        c = c / np.linalg.norm(c, axis=1, keepdims=True)
        return lambda batch: np.argsort(-net.embed(batch) @ c.T, axis=1, kind='stable')[:, :5]
    net = tm.Integer(read_tensors(path))
    return lambda batch: net.nearest(net.embed(batch))


def score(tests, answers):
    """{(language, kind): [n, hits at 1, hits at 5]}, with 'all' for either."""
    out = collections.defaultdict(lambda: np.zeros(3, int))
    for (language, kind, _, owners), got in zip(tests, answers):
        hit = [i in owners for i in got]
        for key in ((language, kind), ('all', kind)):
            out[key] += [1, bool(hit[:1]) and hit[0], any(hit)]
    return out


def main(a):
    corpus = json.load(open(a.corpus))
    tests = corpus['tests']
    nearest, model = neural(a.model), []
    for i in range(0, len(tests), 256):
        model += nearest([tm.encode(tm.words(t[2])) for t in tests[i:i + 256]]).tolist()
    systems = {'model': score(tests, model)}
    if not a.no_baseline:
        together = [[t for texts in c.values() for t, _ in texts] for c in corpus['train']]
        single = [(i, t) for i, d in enumerate(together) for t in dict.fromkeys(d)]
        both = [Letters(together, range(len(together))), Letters([[t] for _, t in single], [i for i, _ in single])]
        scores = [score(tests, [b.nearest(t[2]) for t in tests]) for b in both]
        best = {kind: max(scores, key=lambda s: s['all', kind][1]) for kind in ('tag', 'name')}
        systems['letters'] = {key: best[key[1]][key] for key in systems['model']}
    table = {}
    print('language  kind     n ' + ''.join(f'{name + " R@1":>14}{"R@5":>6}' for name in systems))
    for language in ['all'] + corpus['languages']:
        for kind in ('tag', 'name'):
            n = systems['model'][language, kind][0]
            shares = {name: [round(float(x) / n, 3) for x in s[language, kind][1:]] for name, s in systems.items()}
            table[f'{language} {kind}'] = {'n': int(n), **shares}
            print(f'{language:9} {kind:5}{n:5} ' + ''.join(f'{x:14.3f}{y:6.3f}' for x, y in shares.values()))
    if a.json:
        json.dump(table, open(a.json, 'w'), indent=1)


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('corpus')
    p.add_argument('model')
    p.add_argument('--json')
    p.add_argument('--no-baseline', action='store_true')
    main(p.parse_args())
