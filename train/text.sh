#!/bin/sh
# The text model; called by run.sh, after the stage data.
set -eu
dir=$OUT/text
mkdir -p "$dir/testdata"
"$PYTHON" text_corpus.py "$BUILD/node_modules" "$BUILD/text.json"
"$PYTHON" text_train.py "$BUILD/text.json" "$BUILD/text.npz" ${TEXT_STEPS:+--steps "$TEXT_STEPS"}
"$PYTHON" text_quantise.py "$BUILD/text.json" "$BUILD/text.npz" "$dir"
"$PYTHON" text_evaluate.py "$BUILD/text.json" "$dir/weights.bin" --json "$BUILD/text-figures.json"
"$PYTHON" text_manifest.py "$dir" "$BUILD/text-figures.json" "$BUILD/text.npz"
