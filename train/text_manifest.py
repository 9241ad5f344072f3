"""The manifest of the text model in a folder:  text_manifest.py DIR FIGURES.json FLOAT.npz

DIR holds weights.bin and concepts.txt; FIGURES.json is what text_evaluate.py --json wrote about those very weights, FLOAT.npz
is what text_train.py made them from and says what that took.
manifest.json is written beside them; the model's digest is the SHA-256 of that file.
"""
import json
import os
import sys

import numpy as np

from tensors import listed, model_root, proof_root
from text_corpus import LANGUAGES


def manifest(folder, figures, samples, seconds):
    return {
        'name': 'text-1',
        'kind': 'text.embed',
        'engine': 'text',
        'summary': 'Phrases in 19 languages to vectors of 128 signed bytes, for finding the concepts of emoji that are nearest, in integers only.',
        'licence': 'Apache-2.0',
        'files': [listed(folder, 'weights.bin'), listed(folder, 'concepts.txt')],
        'root': model_root(folder, 'weights.bin'),
        'proof': proof_root(folder, 'weights.bin'),
        'parents': [],
        'data': [
            {'name': 'emojibase', 'source': 'npm emojibase-data@17.0.0', 'licence': 'MIT', 'attribution': 'Miles Johnson',
             'use': 'names and tags of 1,721 emoji in 19 languages'},
        ],
        'languages': LANGUAGES,
        'recipe': {
            'method': 'hashed letter groups, one ReLU layer, contrastive against all concepts; int8 weights and activations',
            'code': 'train/',
            'parameters': 7692032,
            'training': f'{samples / 1e6:.2g} million samples, {seconds / 60:.2g} minutes of work of one process',
        },
        'exact': True,
        'output': {'media_type': 'application/vnd.essaim.embedding', 'type': 'int8', 'size': 128, 'measure': 'cosine'},
        'units': {'each': 1, 'rule': 'a text of any length is one unit; it takes 131 thousand multiply-adds besides its table rows'},
        'evaluation': {
            'rule': 'texts that occur nowhere in training, in no language; right is a concept that carries the text in its language; among 1,721 concepts',
            'fields': 'n; share with a right concept first, and among the first five; letters: TF-IDF of letter groups on the same training texts',
            'held_out': {k: v for k, v in figures.items() if k.split()[0] in ('all', 'en', 'fr', 'de', 'es', 'it', 'pt')},
        },
        'limits': [
            'It knows the names and tags of emoji and nothing else; a phrase about other things gets a vector without much meaning.',
            'An unseen word is understood by the letters that it shares with seen ones, so a root of its own in one language is guessed at.',
            'Word order, negation and grammar are not read; 16 words of 24 letters are.',
            'Latin and Cyrillic letters only.',
            'Tags are ambiguous: of what many concepts share, any may come first.',
        ],
    }


if __name__ == '__main__':
    whole = manifest(sys.argv[1], json.load(open(sys.argv[2])), *np.load(sys.argv[3])['cost'].tolist())
    with open(os.path.join(sys.argv[1], 'manifest.json'), 'w', encoding='utf-8') as f:
        json.dump(whole, f, indent=2, ensure_ascii=False)
        f.write('\n')
