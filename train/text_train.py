"""Trains the text model:  text_train.py CORPUS.json OUT.npz [--steps 1500] [--init FILE.npz]

Contrastive: of all concepts, the vector of a text has to be nearest to that of its own (cosine, temperature 1/18, all other
concepts as negatives). Two parts of a word in five are left out at random, so that an unseen inflection, compound or misspelling
still lands near what it shares letters with; a quarter of the texts are two of one concept in a row. One thread.
"""
import argparse
import json
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from textmodel import COLS, HIDDEN, ONE, ROOT, ROWS, SIZE, word_rows, words

BATCH, PEAK, SCALE = 1536, 2.5e-3, 18
NAME_WEIGHT, TWO = 2.0, .25         # how much likelier a name is drawn than a tag; share of doubled texts
DROP = .4                           # chance that a part of a word is left out


class Net(nn.Module):
    def __init__(self, concepts):
        super().__init__()
        self.table = nn.EmbeddingBag(ROWS, COLS, mode='sum')
        nn.init.normal_(self.table.weight, std=.05)
        self.up, self.out = nn.Linear(COLS, HIDDEN), nn.Linear(HIDDEN, SIZE)
        self.concepts = nn.Parameter(F.normalize(torch.randn(concepts, SIZE), dim=1))

    def forward(self, ids, offsets, weights):
        v = self.out(F.relu(self.up(self.table(ids, offsets, per_sample_weights=weights))))
        return v, SCALE * F.normalize(v, dim=1) @ F.normalize(self.concepts, dim=1).T


class Texts:
    """Samples of (rows, concept). A text is a list of words, a word a stretch of rows; all in flat arrays."""

    def __init__(self, corpus):
        vocabulary, lists, owner, group, weight = {}, [], [], [], []
        for concept, by_language in enumerate(corpus['train']):
            for language, texts in by_language.items():
                for text, name in texts:
                    lists.append([vocabulary.setdefault(w, len(vocabulary)) for w in words(text)])
                    owner.append(concept)
                    group.append((concept, language))
                    weight.append(NAME_WEIGHT if name else 1.0)
        rows = [word_rows(w) for w in vocabulary]
        self.rows = np.concatenate([r for r, _ in rows])
        self.row_weight = np.concatenate([[w] * len(r) for r, w in rows]).astype(np.float32) / ONE
        self.length = np.array([len(r) for r, _ in rows])
        self.start = np.cumsum(self.length) - self.length
        self.lists, self.owner = lists, np.array(owner)
        self.chance = np.cumsum(weight) / np.sum(weight)
        spans = {}                              # texts of one concept and language are neighbours
        for i, g in enumerate(group):
            spans.setdefault(g, [i, i])[1] = i
        self.span = np.array([spans[g] for g in group])
        print(len(lists), 'texts,', len(vocabulary), 'words,', len(np.unique(self.rows)), 'of', ROWS, 'rows in use')

    def batch(self, rng, n):
        at = np.searchsorted(self.chance, rng.random(n))
        first, last = self.span[at].T
        other = np.where(rng.random(n) < TWO, rng.integers(first, last + 1), -1)
        lists = [self.lists[i] if j < 0 else self.lists[i] + self.lists[j] for i, j in zip(at, other)]
        count = np.array([len(x) for x in lists])
        ws = np.concatenate(lists)
        text = np.repeat(np.arange(n), count)
        length = self.length[ws]
        begin = np.cumsum(length) - length
        inner = np.arange(length.sum()) - np.repeat(begin, length)
        flat = np.repeat(self.start[ws], length) + inner
        share = np.array(ROOT, np.float32)[np.minimum(count, len(ROOT) - 1)] / ONE
        weights = self.row_weight[flat] * np.repeat(share[text], length)
        weights[rng.random(len(flat)) < DROP] = 0
        rows_of_text = np.bincount(text, length, n).astype(np.int64)
        offsets = np.cumsum(rows_of_text) - rows_of_text
        return (torch.from_numpy(self.rows[flat]), torch.from_numpy(offsets), torch.from_numpy(weights)), torch.from_numpy(self.owner[at])


def save(net, path, samples):
    np.savez(path, cost=[samples, time.process_time()], **{('table' if k == 'table.weight' else k): v.cpu().numpy().astype(np.float32) for k, v in net.state_dict().items()})


def main(a):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    corpus, device = json.load(open(a.corpus)), 'cuda' if torch.cuda.is_available() else 'cpu'
    texts, net = Texts(corpus), Net(len(corpus['concepts'])).to(device)
    if a.init:
        net.load_state_dict({('table.weight' if k == 'table' else k): torch.from_numpy(v) for k, v in np.load(a.init).items() if k != 'cost'})
    adam = torch.optim.Adam(net.parameters(), lr=a.lr, betas=(.9, .99))
    shown, mean = 0, 0
    for step in range(a.steps):
        for g in adam.param_groups:
            g['lr'] = a.lr * min(1, (step + 1) / 100) * .5 * (1 + np.cos(np.pi * step / a.steps))
        bag, owner = texts.batch(rng, BATCH)
        v, logits = net(*(x.to(device) for x in bag))
        # A length near 1 for every vector leaves the int8 output no outliers.
        loss = F.cross_entropy(logits, owner.to(device), label_smoothing=.05) + .05 * ((v.norm(dim=1) - 1) ** 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        mean = .98 * mean + .02 * loss.item()
        if time.time() - shown > 30:
            shown = time.time()
            print(f'step {step} of {a.steps}, loss {mean / (1 - .98 ** (step + 1)):.3f}, {time.process_time():.0f} cpu seconds', flush=True)
            save(net, a.out, (step + 1) * BATCH)
    save(net, a.out, a.steps * BATCH)
    print(a.steps * BATCH, 'samples,', round(time.process_time()), 'cpu seconds')


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('corpus')
    p.add_argument('out')
    p.add_argument('--steps', type=int, default=1500)
    p.add_argument('--lr', type=float, default=PEAK)
    p.add_argument('--init')
    main(p.parse_args())
