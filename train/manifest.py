"""The manifest of the weights in a folder:  manifest.py DIR

DIR holds weights.bin and vocabulary.txt; manifest.json is written beside them. The model's digest is the SHA-256 of that
file, so nothing in it may depend on when or where this runs.
"""
import hashlib
import json
import os
import sys

FLOAT_WEIGHTS = 'b9c8fbd8ed041a5e32616eebc448cd7f20b4b3a01a8f6cfb803d095a7ce29aba'


def file(folder, name):
    data = open(os.path.join(folder, name), 'rb').read()
    return {'name': name, 'size': len(data), 'sha256': hashlib.sha256(data).hexdigest()}


def manifest(folder):
    return {
        'name': 'pixel-1',
        'kind': 'image',
        'engine': 'pixel',
        'summary': 'Text to small emoji-like pictures on a white ground, in two styles, from English and French, in integers only.',
        'licence': 'Apache-2.0',
        'files': [file(folder, 'weights.bin'), file(folder, 'vocabulary.txt')],
        'parents': [],
        'data': [
            {'name': 'Noto Emoji', 'source': 'npm @iconify-json/noto', 'licence': 'Apache-2.0', 'attribution': 'Google LLC',
             'use': '1,214 pictures'},
            {'name': 'Fluent Emoji Flat', 'source': 'npm @iconify-json/fluent-emoji-flat', 'licence': 'MIT',
             'attribution': 'Microsoft Corporation', 'use': '1,173 pictures'},
            {'name': 'emojibase', 'source': 'npm emojibase-data', 'licence': 'MIT', 'attribution': 'Miles Johnson',
             'use': 'English and French names and tags'},
        ],
        'recipe': {
            'method': 'flow matching, residual ReLU network over a linear picture basis, int8 weights and activations',
            'code': 'train/',
            'float_weights_sha256': FLOAT_WEIGHTS,
            'parameters': 17300000,
            'training': '2.3 million samples, 26 minutes on two CPU cores',
        },
        'exact': True,
        'sizes': [[256, 256], [64, 64], [512, 512]],
        'native_size': [64, 64],
        'steps': {'min': 2, 'max': 4, 'default': 2},
        'units': {'each': 1, 'rule': 'a picture of any size and number of steps is one unit; it takes 26 million multiply-adds at 2 steps'},
        'limits': [
            'Draws 64 x 64; larger sizes are the same picture enlarged, with no added detail.',
            'Close to a memoriser of about 1,200 things in two styles; other nouns and misspelt words give a blur or a wrong thing.',
            'One thing a picture: scenes, relations and counts are not understood.',
            'Colours asked for are followed in roughly half of the combinations that it was not trained on.',
            'The seed chooses style, mirroring and texture; within those, pictures of one prompt are nearly the same.',
            'Faint mottling remains inside areas. It is no judge of what it draws and has no content filter.',
        ],
    }


if __name__ == '__main__':
    folder = sys.argv[1]
    with open(os.path.join(folder, 'manifest.json'), 'w', encoding='utf-8') as f:
        json.dump(manifest(folder), f, indent=2, ensure_ascii=False)
        f.write('\n')
