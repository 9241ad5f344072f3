"""The text model twice: in floats as it was trained, in integers as it is shipped.

Integer is an independent numpy implementation of what engine/text computes and must give the same vectors, byte for byte
(text_quantise.py writes them for the Go tests). engine/text/doc.go defines the text rules and the arithmetic.
"""
import functools
import unicodedata
import zlib

import numpy as np

ROWS, COLS = 57344, 128             # of the table
HIDDEN, SIZE = 512, 128             # of the network; SIZE numbers are an embedding
MAX_WORDS, MAX_LETTERS = 16, 24
ONE = 4096                          # 1 with 12 fraction bits
ROOT = [0] + [int(ONE / n ** .5 + .5) for n in range(1, 49)]        # n^-1/2, 12 fraction bits

# ---------------------------------------------------------------- text

SINGLE = {'Æ': 'a', 'æ': 'a', 'Œ': 'o', 'œ': 'o', 'Ø': 'o', 'ø': 'o', 'Đ': 'd', 'đ': 'd', 'Ð': 'd', 'ð': 'd', 'Þ': 't', 'þ': 't', 'ß': 's',
          'ẞ': 's', 'Ł': 'l', 'ł': 'l', 'ı': 'i', 'Ħ': 'h', 'ħ': 'h', 'Ŋ': 'n', 'ŋ': 'n', 'Ŧ': 't', 'ŧ': 't', 'ĸ': 'k', 'Ŀ': 'l', 'ŀ': 'l'}


@functools.cache
def fold(c):
    """What stands for a character: one lower-case letter or digit, '' (dropped) or ' '."""
    n = ord(c)
    if c.isascii():
        return c.lower() if c.isalnum() else ' '
    if 0x300 <= n <= 0x36f:                                         # combining accents
        return ''
    if 0xc0 <= n <= 0x17f or 0x1a0 <= n <= 0x1b0 or 0x218 <= n <= 0x21b or 0x1e00 <= n <= 0x1eff:
        base = SINGLE.get(c, unicodedata.normalize('NFD', c)[0].lower())
        return base if base.isascii() and base.isalnum() else ' '
    if 0x400 <= n <= 0x40f or 0x450 <= n <= 0x45f:                  # Cyrillic of Russian, Ukrainian and their neighbours
        c = chr(n | 0x50) if n < 0x410 else c
        return 'е' if c == 'ё' else c
    if 0x410 <= n <= 0x44f:
        return chr(n + 0x20) if n < 0x430 else c
    if n in (0x490, 0x491):
        return 'ґ'
    return ' '


def words(text):
    """At most MAX_WORDS words of MAX_LETTERS letters."""
    return [w[:MAX_LETTERS] for w in ''.join(map(fold, text)).split()[:MAX_WORDS]]


def parts(w):
    """The different parts of <w>: of 3 and 4 letters, and the whole."""
    p = '<' + w + '>'
    return sorted({p} | {p[i:i + n] for n in (3, 4) for i in range(len(p) - n + 1)})


@functools.cache
def word_rows(w):
    """Table rows of a word and their weight, before the share of the word."""
    rows = [zlib.crc32(p.encode()) % ROWS for p in parts(w)]
    return rows, ROOT[len(rows)]


def encode(ws):
    """Rows and weights, 12 fraction bits, of a text's words."""
    share, ids, weights = ROOT[len(ws)], [], []
    for w in ws:
        rows, weight = word_rows(w)
        ids += rows
        weights += [(weight * share + ONE // 2) >> 12] * len(rows)
    return np.array(ids), np.array(weights, np.int64)


# ---------------------------------------------------------------- the network in floats

class Float:
    """e = table rows; h = ReLU(up e); v = out h. seen collects what quantisation has to know."""

    def __init__(self, p):
        self.p, self.seen = {k: np.asarray(v, np.float64) for k, v in p.items()}, None

    def note(self, name, x):
        if self.seen is not None:
            self.seen[name] = np.maximum(self.seen.get(name, 0), np.abs(x).max(0))

    def embed(self, batch):
        p = self.p
        e = np.stack([(p['table'][i] * (w / ONE)[:, None]).sum(0) for i, w in batch])
        self.note('up', e)
        h = np.maximum(e @ p['up.weight'].T + p['up.bias'], 0)
        self.note('out', h)
        v = h @ p['out.weight'].T + p['out.bias']
        self.note('embedding', v)
        return v


# ---------------------------------------------------------------- the network in integers

def requantise(v, mul, shift):
    return (v * mul + (1 << (shift - 1))) >> shift


class Integer:
    """The shipped arithmetic on the tensors of weights.bin."""

    def __init__(self, tensors):
        self.t = {k: v.astype(np.int64) for k, v in tensors.items()}

    def narrow(self, name, v, low, high):
        return np.clip(requantise(v, self.t[name + '.mul'], self.t[name + '.shift'][0]), low, high)

    def layer(self, name, x, low):
        return self.narrow(name, x @ self.t[name + '.w'].T + self.t[name + '.bias'], low, 127)

    def embed(self, batch):
        e = np.stack([(self.t['table'][i] * w[:, None]).sum(0) for i, w in batch])
        e = self.narrow('table', e, -127, 127)
        return self.layer('out', self.layer('up', e, 0), -127)

    def nearest(self, v, k=5):
        """Concepts by cosine, best first; ties to the first in the list."""
        c = self.t['concepts']
        score = (v @ c.T) / np.sqrt((v * v).sum(1)[:, None] * (c * c).sum(1)[None] + 1e-9)
        return np.argsort(-score, axis=1, kind='stable')[:, :k]
