#!/bin/sh
# The picture model; called by run.sh, after the stage data.
set -eu
dir=$OUT/pixel
mkdir -p "$dir/testdata" "$BUILD/render"
(here=$PWD && cd "$BUILD/render" && NODE_PATH="$BUILD/node_modules" node "$here/prep.js" noto,fluent-emoji-flat)
"$PYTHON" corpus.py --data "$BUILD" --out "$BUILD/corpus.pt"
"$PYTHON" train.py train --corpus "$BUILD/corpus.pt" --out "$BUILD/model.pt" --plain --k 512 --batch 768 --lr 0.0015 --minutes "${PICTURE_MINUTES:-26}"
"$PYTHON" train.py export --model "$BUILD/model.pt" --out "$BUILD/model-f16.npz"
(here=$PWD && cd "$BUILD" && "$PYTHON" "$here/evaluate.py" model.pt 2 1.4 1) # reads corpus.pt where it runs
"$PYTHON" vocabulary.py "$BUILD/node_modules" "$dir/vocabulary.txt" concepts.txt
"$PYTHON" quantise.py "$BUILD/model-f16.npz" "$dir" --report --golden "$dir/testdata/reference.tsv"
"$PYTHON" manifest.py "$dir"
