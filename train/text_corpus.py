"""Names and tags of emoji in 19 languages:  text_corpus.py NODE_MODULES OUT.json

NODE_MODULES holds emojibase-data (see README.md). OUT.json gets the concepts; for each concept and language the texts to
train on; and the texts held out for text_evaluate.py. A text that is held out occurs nowhere in training, in no language
and for no concept, once it is normalised.
"""
import collections
import json
import re
import sys
import zlib

from textmodel import words

LANGUAGES = 'en fr de es it pt nl da sv nb fi et lt pl hu ms vi ru uk'.split()
HELD_TAGS, HELD_NAMES = 7, 5        # per cent


def kept(e):
    """One concept for each thing: no bare components, no gendered twins of a neutral person."""
    code = e['hexcode']
    return 'group' in e and e['group'] != 2 and not re.search('200D-264[02]', code) and not re.match('1F46[89]-200D', code)


def chance(*parts):
    return zlib.crc32('\t'.join(parts).encode()) % 1000 / 10


def main(modules, out):
    load = {l: {e['hexcode']: e for e in json.load(open(f'{modules}/emojibase-data/{l}/data.json'))} for l in LANGUAGES}
    concepts = sorted((e['hexcode'] for e in load['en'].values() if kept(e)), key=lambda h: load['en'][h]['order'])
    texts = collections.defaultdict(dict)                       # (concept, language) -> {normalised: (text, is it the name)}
    for i, h in enumerate(concepts):
        for l in LANGUAGES:
            e = load[l].get(h)
            for n, t in enumerate([e['label'], *e.get('tags', [])] if e else []):
                key = ' '.join(words(t))
                if key:
                    texts[i, l].setdefault(key, (t, n == 0))
    held = set()
    for (i, l), own in texts.items():
        for key, (_, name) in own.items():
            if chance('name', l, concepts[i]) < HELD_NAMES if name else chance('tag', key) < HELD_TAGS:
                held.add(key)
    train, tests = [], []
    for i in range(len(concepts)):
        train.append({l: [[t, name] for key, (t, name) in texts[i, l].items() if key not in held] for l in LANGUAGES})
    for l in LANGUAGES:
        owners, named = collections.defaultdict(list), set()
        for i in range(len(concepts)):
            for key, (t, name) in texts[i, l].items():
                if key in held:
                    owners[key].append(i)
                    if name:
                        named.add(key)
        tests += [[l, 'name' if key in named else 'tag', key, o] for key, o in sorted(owners.items())]
    labels = [[load['en'][h]['emoji'], load['en'][h]['label']] for h in concepts]
    json.dump({'languages': LANGUAGES, 'concepts': labels, 'train': train, 'tests': tests}, open(out, 'w'), ensure_ascii=False)
    print(len(concepts), 'concepts,', sum(len(x) for c in train for x in c.values()), 'texts to train on,',
          len(tests), 'held out:', dict(collections.Counter(t[1] for t in tests)))


if __name__ == '__main__':
    main(*sys.argv[1:])
