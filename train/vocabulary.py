"""Words and concepts that the model saw:  vocabulary.py NODE_MODULES VOCABULARY.TXT CONCEPTS.TXT

NODE_MODULES holds emojibase-data, @iconify-json/noto and @iconify-json/fluent-emoji-flat (see README.md). Written are
the normalised words of all captions, sorted, one a line; and the concepts, one a line: English label, tab, French label.
"""
import json
import re
import sys
import unicodedata

from pixelmodel import words

COLOURS = 'red orange yellow green blue purple pink brown black white grey rouge jaune vert bleu violet rose marron noir blanc gris'
EVERYDAY = ('car voiture tree arbre moon lune boat bateau plane avion flower fleur smiling face visage souriant smile sad angry computer '
            'phone burger bike velo apple pomme heart coeur ball book livre house garden shoe hat flag cake coffee beer rain storm snow '
            'bird wave lightning gift clock lamp pear bear whale snake skull train ship pumpkin ice cream')


def slug(s):
    """The icon name of a label, as prep.js makes it."""
    s = re.sub('[\u0300-\u036f]', '', unicodedata.normalize('NFD', s.lower()))
    s = re.sub('[’\'“”.!,:()]', '', s).replace('&', 'and')
    return re.sub('^-|-$', '', re.sub('[^a-z0-9]+', '-', s))


def keep(label, group):
    """The filter of train.py: no flags, person variants, signs, letters, arrows, clock faces."""
    if group in (-1, 2, 9):
        return False
    if re.match(r'(man|woman|men|women|family|person|couple|kiss|people|woman and|man and)\b.*[:, ]', label):
        return False
    if re.search(r'keycap|skin tone|facing right|letter [a-z]$|Japanese|thirty|button|input |arrow|blood type', label):
        return False
    if re.search(r'o.clock', label) and not label.startswith('three'):
        return False
    signs = r'sign|symbol|prohibited|no |restroom|mark$|loop|slash|part alternation|asterisk|star of|cross$'
    return group != 8 or not re.search(signs, label) or bool(
        re.search(r'check|peace|infinity|recycling|question|radioactive|warning', label))


def main(modules, vocabulary, concepts):
    def load(path):
        return json.load(open(f'{modules}/{path}'))
    french = {e['hexcode']: e for e in load('emojibase-data/fr/data.json')}
    by_slug = {slug(e['label']): e for e in load('emojibase-data/en/data.json')}
    seen, pairs = set(), set()
    for w in (COLOURS + ' ' + EVERYDAY).split():
        seen.update(words(w))
    for icons in ('noto', 'fluent-emoji-flat'):
        for name in load(f'@iconify-json/{icons}/icons.json')['icons']:
            e = by_slug.get(name)
            if not e or not keep(e['label'], e.get('group', -1)):
                continue
            f = french.get(e['hexcode'], {})
            label = 'clock' if e['label'].startswith('three o') else e['label']
            pairs.add((label, f.get('label', '')))
            for text in [label, name, f.get('label', ''), *e.get('tags', []), *f.get('tags', [])]:
                seen.update(words(text))
    open(vocabulary, 'w').write(''.join(w + '\n' for w in sorted(seen)))
    open(concepts, 'w').write(''.join(f'{a}\t{b}\n' for a, b in sorted(pairs)))
    print(len(seen), 'words,', len(pairs), 'concepts')


if __name__ == '__main__':
    main(*sys.argv[1:])
