"""The manifest of the picture model in a folder:  manifest.py DIR EVALUATION.json

DIR holds what quantise.py wrote, EVALUATION.json is what evaluate.py found out about those very weights. manifest.json is
written beside them; the model's digest is the SHA-256 of that file, so nothing in it may depend on when or where this runs.
What only the float weights could tell, their training and how far the integers are from them, is kept from the manifest that
is there if EVALUATION.json is about the folder DIR itself.
"""
import json
import os
import sys

from tensors import listed, model_root, proof_root

FILES = ('weights.bin', 'vocabulary.tsv', 'joined.txt', 'variants.tsv', 'tintable.txt')


def evaluation(e):
    names, colour, two = e['among_50'], e['colour'], e['two_things']
    return {
        'rule': 'shares of 50 to 300 pictures, judged by small networks that were trained on real pictures only; each figure stands beside its ceiling, '
                'the same judge on real pictures. One run, one person looking; a difference of .04 means nothing.',
        'right_thing_among_50': {
            'judges': 'same_sets: a small convolutional network, of the sets that the model learned from; unseen_sets: a residual network of another start, of noto-v1 and emojione, '
                      'which the model never saw',
            'ceiling': names['real pictures of the training sets (ceiling)'],
            'english_name': names['English name, as the seed chooses'],
            'french_name': names['French name'],
            'one_slip_in_every_word': names['one slip in every word'],
            'one_slip_without_spelling_table': names['same, without the spelling table'],
        },
        'colour_asked_for': {
            'judges': 'same_sets: of the same sets, other nouns; unseen_sets: as above',
            'pairs_never_trained': {k: colour['held-out pairs'][k] for k in ('right', 'ceiling', 'pictures')},
            'all_pictures_withheld': {k: colour['all pictures withheld'][k] for k in ('right', 'ceiling', 'pictures')},
            'random_pairs': {k: colour['random pairs, mostly trained'][k] for k in ('right', 'ceiling', 'pictures')},
            'two_things_each_with_one': {'right': two['colour'], 'ceiling': two['colour_ceiling']},
        },
        'integers_to_floats_psnr_db': e['psnr_integer_to_float'],
        'memory': 'nearest training picture (rmse at 32 x 32): {}; nearest other real picture of a real one: {}'.format(
            e['rmse_32x32']['unposed to nearest training variant'], e['rmse_32x32']['real picture to nearest other real']),
    }


def kept(folder):
    """What the manifest in a folder knows from the float weights; nothing if there is none."""
    try:
        with open(os.path.join(folder, 'manifest.json'), encoding='utf-8') as f:
            old = json.load(f)
    except FileNotFoundError:
        return {}
    return {'training': old['recipe']['training'], 'psnr_integer_to_float': old['evaluation']['integers_to_floats_psnr_db']}


def manifest(folder, figures):
    figures = {**kept(folder), **figures}
    return {
        'name': 'pixel-2',
        'kind': 'image',
        'engine': 'pixel',
        'summary': 'Names of up to four things to a small emoji-like picture on a white ground, in three styles, from English and French, in integers only.',
        'licence': 'Apache-2.0',
        'files': [listed(folder, name) for name in FILES],
        'root': model_root(folder, 'weights.bin'),
        'proof': proof_root(folder, 'weights.bin'),
        'parents': [],
        'data': [
            {'name': 'Noto Emoji', 'source': 'npm @iconify-json/noto@1.2.9', 'licence': 'Apache-2.0', 'attribution': 'Google LLC', 'use': '1,215 pictures'},
            {'name': 'Fluent Emoji Flat', 'source': 'npm @iconify-json/fluent-emoji-flat@1.2.6', 'licence': 'MIT',
             'attribution': 'Microsoft Corporation', 'use': '1,176 pictures'},
            {'name': 'Twemoji', 'source': 'npm @iconify-json/twemoji@1.2.5', 'licence': 'CC-BY-4.0',
             'attribution': 'Twemoji, Copyright Twitter, Inc and other contributors, licensed under CC-BY 4.0 (https://creativecommons.org/licenses/by/4.0/); '
                            'changed: drawn at 64 x 64, recoloured, learned by a network',
             'use': '1,215 pictures'},
            {'name': 'emojibase', 'source': 'npm emojibase-data@17.0.0', 'licence': 'MIT', 'attribution': 'Miles Johnson', 'use': 'English and French names and tags'},
        ],
        'recipe': {
            'method': 'one pass of a residual ReLU network from text to the coefficients of a linear picture basis, int8 weights and activations; no noise, no sampling',
            'code': 'train/',
            'parameters': 19136512,
            'training': figures['training'],
        },
        'exact': True,
        'sizes': [[256, 256], [64, 64], [512, 512]],
        'native_size': [64, 64],
        'styles': ['noto', 'fluent-emoji-flat', 'twemoji'],
        'steps': {'min': 1, 'max': 1, 'default': 1},
        'units': {'each': 1, 'rule': 'a picture of any size is one unit; it takes 17 million multiply-adds for each of its things'},
        'evaluation': evaluation(figures),
        'limits': [
            'Draws things at 64 x 64; larger sizes are the same drawings enlarged, with no added detail.',
            'A memoriser, by design, of 1,215 things in three styles; of a prompt without any word that it knows it draws nothing.',
            'Up to four things stand side by side; relations such as in, on or behind are not understood.',
            'A misspelt word becomes the known word nearest to it, which may be the wrong one; the result says so.',
            'Colours that a thing was not trained in come out right less often, and sometimes with a halo.',
            'The seed chooses style, variant, pose, layout and now and then a colour; within those, pictures of one prompt are the same.',
            'It is no judge of what it draws and has no content filter.',
        ],
    }


if __name__ == '__main__':
    with open(sys.argv[2], encoding='utf-8') as f:
        whole = manifest(sys.argv[1], json.load(f))
    with open(os.path.join(sys.argv[1], 'manifest.json'), 'w', encoding='utf-8') as f:
        json.dump(whole, f, indent=2, ensure_ascii=False)
        f.write('\n')
