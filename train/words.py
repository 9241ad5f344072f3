"""The text side, exact and without learned parts: prompt -> things -> words -> rows of the text table.

  Lexicon.things(prompt)    splits "a cat and a red car" into [['cat'], ['red', 'car']], with what was corrected and what is unknown
  encode(words, style)      rows of the table and their weights for one thing

engine/pixel/{text,lexicon}.go are the same in Go.
"""
import re
import unicodedata
import zlib

STOP = set('a an the of un une de la le les des du d l au aux some my mon ma mes'.split())
JOIN = set('and et with avec plus in on dans sur'.split())       # between two things, unless inside a known name
COLOURS = {  # name: rgb of the recoloured training pictures
    'red': (214, 40, 46), 'orange': (246, 138, 30), 'yellow': (250, 205, 55), 'green': (72, 160, 66), 'blue': (52, 120, 214),
    'purple': (140, 80, 180), 'pink': (240, 130, 170), 'brown': (135, 86, 56), 'black': (48, 48, 52), 'white': (236, 236, 238),
    'grey': (140, 145, 150)}
# one form for every colour word, in both languages (after the plural's s is gone)
ALIAS = {'gray': 'grey', 'rouge': 'red', 'jaune': 'yellow', 'vert': 'green', 'verte': 'green', 'bleu': 'blue', 'bleue': 'blue',
         'violet': 'purple', 'violette': 'purple', 'mauve': 'purple', 'pourpre': 'purple', 'brun': 'brown', 'brune': 'brown',
         'noir': 'black', 'noire': 'black', 'blanc': 'white', 'blanche': 'white', 'gri': 'grey', 'gris': 'grey', 'grise': 'grey'}
# words that are a colour or a thing: (colour, thing, is it a colour as first word of several?)
DOUBLE = {'orange': ('orange', 'tangerine', True), 'rose': ('pink', 'rose', False), 'marron': ('brown', 'chestnut', True)}
# a count in front of a name draws it so often; forms after the plural's s or x is gone
NUMBERS = {'two': 2, 'deu': 2, '2': 2, 'three': 3, 'troi': 3, '3': 3, 'four': 4, 'quatre': 4, '4': 4}
ROWS, MAX_WORDS, MAX_LETTERS, MAX_THINGS, MAX_PROMPT = 8192, 10, 32, 4, 64
STYLES = ('noto', 'fluent-emoji-flat', 'twemoji')


def plain(text):
    """Words of a-z and 0-9: lower case, no accents; commas, + and & stay as 'and'."""
    s = unicodedata.normalize('NFKD', re.sub('[,;+&]', ' and ', text.lower().replace('œ', 'oe')))
    return re.sub('[^a-z0-9]+', ' ', ''.join(c for c in s if not unicodedata.combining(c)).replace('’', ' ')).split()


def singular(w):
    return w[:-1] if len(w) > 3 and w[-1] in 'sx' and not w.endswith('ss') else w


def colours(ws):
    """Gives colour words their one form and decides whether orange, rose and marron are colours here."""
    plain_colour = [ALIAS.get(w, w) in COLOURS and w not in DOUBLE for w in ws]
    out = []
    for i, w in enumerate(ws):
        if w in DOUBLE:
            colour, thing, first = DOUBLE[w]
            others = [j for j in range(len(ws)) if j != i and not plain_colour[j]]
            out.append(colour if others and (first or i > 0) else thing)
        else:
            out.append(ALIAS.get(w, w))
    return out


def words(text):
    """The normalised words of the name of one thing; joining words are dropped."""
    return colours([singular(w) for w in plain(text) if w not in STOP and w not in JOIN])[:MAX_WORDS]


def noun(ws):
    return ' '.join(w for w in ws if w not in COLOURS)


class Lexicon:
    """What the model was trained on: vocabulary (word -> count), names that hold a joining word or a number, and the
    things that an ambiguous word may mean, of which the seed chooses one. With keep, unknown words are read as they are."""

    def __init__(self, vocabulary, joined=(), variants=None, tintable=(), keep=False):
        self.count, self.joined, self.variants, self.tintable = vocabulary, {tuple(j) for j in joined}, variants or {}, set(tintable)
        self.keep = keep

    def correct(self, w):
        """The known word that w is a slip of, or None. One letter missing, doubled, wrong or swapped with its neighbour."""
        if w in self.count:
            return w
        if len(w) < 3 or w.isdigit():
            return None
        for v in (w.replace('f', 'ph'), w.replace('ph', 'f')):
            if v in self.count:
                return v
        near = [(slip(w, v), -n, v) for v, n in self.count.items() if len(v) >= 3 and abs(len(v) - len(w)) <= 1]
        best = min(near, default=(9, 0, ''))
        return best[2] if best[0] <= (1 if len(w) > 3 else .5) else None

    def read(self, prompt):
        """(words, style or None, {slip: correction}) of a prompt."""
        ws = [w if w in JOIN else singular(w) for w in plain(prompt) if w not in STOP][:MAX_PROMPT]
        style = None
        for s in STYLES:
            if s.split('-')[0] in ws:
                style = s
        if style:
            ws = [w for w in ws if w not in style.split('-') + ['style']]
        fixed = [w if w in JOIN or w in NUMBERS else self.correct(w) or w for w in ws]
        return fixed, style, {a: b for a, b in zip(ws, fixed) if a != b}

    def parts(self, ws):
        """Splits at joining words, unless they are inside a known name."""
        cut = {i for i, w in enumerate(ws) if w in JOIN}
        for n in range(2, 9):
            for i in range(len(ws) - n + 1):
                if tuple(ws[i:i + n]) in self.joined:
                    cut -= set(range(i, i + n))
        out = [[]]
        for i, w in enumerate(ws):
            if i in cut:
                out.append([])
            elif w not in JOIN:
                out[-1].append(w)
        return [p for p in out if p]

    def things(self, prompt):
        """The words of each thing in the prompt. Unknown ones are dropped, and things of which nothing is known but a colour."""
        out = []
        for p in self.parts(self.read(prompt)[0]):
            n = NUMBERS.get(p[0], 1) if len(p) > 1 else 1
            if n > 1 and any(tuple(p[:len(j)]) == j for j in self.joined):
                n = 1
            if n > 1:
                p = p[1:]
            known = colours([w for w in p if self.keep or w in self.count])
            if len(known) == len(p) or noun(known):
                out += [known[:MAX_WORDS]] * n
        return out[:MAX_THINGS]


def slip(a, b):
    """.5 for two swapped neighbours, .8 for one letter missing or too many, 1 for a wrong one, 9 for anything further."""
    if a == b:
        return 0
    i = 0
    while i < min(len(a), len(b)) and a[i] == b[i]:
        i += 1
    if len(a) == len(b):
        if a[i + 1:] == b[i + 1:]:
            return 1
        return .5 if a[i:i + 2] == b[i:i + 2][::-1] and a[i + 2:] == b[i + 2:] else 9
    long, short = (a, b) if len(a) > len(b) else (b, a)
    return .8 if len(long) == len(short) + 1 and long[i + 1:] == short[i:] else 9


def row(kind, s):
    return zlib.crc32((kind + s).encode()) % ROWS


CACHE = {}


def word_rows(w):
    """Two hashed rows for the word (weight 1) and its 3- and 4-letter parts (weight n^-1/2 each)."""
    if w not in CACHE:
        p = '<' + w[:MAX_LETTERS] + '>'
        g = sorted({p[i:i + n] for n in (3, 4) for i in range(len(p) - n + 1)})
        CACHE[w] = ([row('1', w), row('2', w)] + [row('g', x) for x in g], [1., 1.] + [len(g) ** -.5] * len(g))
    return CACHE[w]


def encode(ws, style):
    ids, weights = [row('s', style)], [1.]
    for w in ws:
        r, k = word_rows(w)
        ids += r
        weights += [x * len(ws) ** -.5 for x in k]
    if not ws:
        ids.append(row('s', 'null'))
        weights.append(1.)
    return ids, weights
