"""Which caption draws what: everyday words, and the clearing away of ambiguous ones."""

import collections

from corpus import COLOUR_WORDS, norm_label
from pixelmodel import words


CANON = {  # everyday words -> the concept(s) they shall draw (others keep their own names)
    'car': ['automobile'],
    'voiture': ['automobile'],
    'tree': ['deciduous tree', 'evergreen tree'],
    'arbre': ['deciduous tree'],
    'moon': ['full moon', 'crescent moon'],
    'lune': ['full moon', 'crescent moon'],
    'boat': ['sailboat'],
    'bateau': ['sailboat'],
    'plane': ['airplane'],
    'avion': ['airplane'],
    'flower': ['hibiscus', 'blossom'],
    'fleur': ['hibiscus', 'blossom'],
    'smiling face': ['smiling face with smiling eyes'],
    'visage souriant': ['smiling face with smiling eyes'],
    'smile': ['smiling face with smiling eyes'],
    'sad face': ['frowning face'],
    'angry': ['angry face'],
    'computer': ['laptop'],
    'phone': ['mobile phone'],
    'burger': ['hamburger'],
    'bike': ['bicycle'],
    'velo': ['bicycle'],
    'apple': ['red apple'],
    'pomme': ['red apple'],
    'heart': ['red heart'],
    'coeur': ['red heart'],
    'ball': ['soccer ball'],
    'book': ['closed book'],
    'livre': ['closed book'],
    'house garden': ['house with garden'],
    'shoe': ['running shoe'],
    'hat': ['top hat'],
    'flag': ['red flag', 'triangular flag'],
    'cake': ['birthday cake'],
    'coffee': ['hot beverage'],
    'beer': ['beer mug'],
    'rain': ['cloud with rain'],
    'storm': ['cloud with lightning'],
    'snow': ['snowflake'],
    'bird': ['bird'],
    'wave': ['water wave'],
    'lightning': ['high voltage'],
    'gift': ['wrapped gift'],
    'clock': ['clock'],
    'lamp': ['light bulb'],
    'pear': ['pear'],
    'bear': ['bear'],
    'whale': ['spouting whale'],
    'snake': ['snake'],
    'skull': ['skull'],
    'train': ['locomotive'],
    'ship': ['ship'],
    'pumpkin': ['jack-o-lantern'],
    'ice cream': ['ice cream', 'soft ice cream'],
}


def clean_captions(D):
    """A caption that is the name of some concept belongs to that concept alone; any other bare tag to at most two concepts."""
    M = D['meta']
    owners, users, memo = collections.defaultdict(set), collections.defaultdict(set), {}

    def core(c, kind):
        k = (c, kind)
        if k not in memo:
            memo[k] = tuple(w for w in words(c) if not (kind and w in COLOUR_WORDS))
        return memo[k]

    for i in set(D['pic'].tolist()):
        l = norm_label(M[i])
        owners[core(l, 0)].add(l)
        owners[core(l, 1)].add(l)
        if M[i]['fr']:
            owners[core(M[i]['fr'], 0)].add(l)
            owners[core(M[i]['fr'], 1)].add(l)
    pk = list(zip(D['pic'].tolist(), D['kind'].tolist()))
    for (i, k), cs in zip(pk, D['caps']):
        for c in cs:
            users[core(c, k)].add(norm_label(M[i]))

    def best(w):
        return set(sorted(users[w], key=lambda l: (0 if set(w) <= set(words(l)) else 1, len(words(l)), len(l), l))[:2])

    for w, ls in CANON.items():
        owners[tuple(words(w))] = set(ls)
    extra = collections.defaultdict(list)
    for w, ls in CANON.items():
        for l in ls:
            extra[l].append(w)
    missing = sorted(set(extra) - {norm_label(m) for m in M})
    print('no such concept:', missing)
    D['caps'] = [
        cs + [(cs[0].split()[0] + ' ' if k else '') + w for w in extra[norm_label(M[i])] for _ in range(2)]
        for (i, k), cs in zip(pk, D['caps'])
    ]
    for w in CANON:
        users[tuple(words(w))] |= owners[tuple(words(w))]
    allow = {w: (owners[w] if w in owners else best(w)) for w in users}
    out, gone = [], 0
    for (i, k), cs in zip(pk, D['caps']):
        keep = [c for c in cs if norm_label(M[i]) in allow[core(c, k)]]
        gone += len(cs) - len(keep)
        out.append(keep or cs)
    D['caps'] = out
    print(
        'captions',
        sum(map(len, out)),
        'ambiguous ones removed',
        gone,
        'allowed e.g.',
        {w: allow.get((w,)) for w in ('moon', 'sun', 'fish', 'car', 'tree', 'boat', 'house', 'banana', 'star')},
    )
    return D
