#!/bin/sh
# The picture model; called by run.sh, after the stage data. Some stages can be left out:
#   PICTURE_MODEL   float weights (.pt of train.py) to make the product of, instead of training
#   PICTURE_RESUME  float weights to go on training from
#   PICTURE_MINUTES of training      (default: 60)
#   JUDGE_MINUTES   of each judge's  (default: 4)
set -eu
dir=$OUT/pixel
mkdir -p "$dir/testdata" "$BUILD/pictures"
sets=noto,fluent-emoji-flat,twemoji
judged=noto-v1,emojione         # for judging only: the model never sees them
if [ ! -f "$BUILD/pictures/data.rgb" ]; then
	NODE_PATH="$BUILD/node_modules" node render.js "$BUILD/pictures" "$sets,$judged"
fi
model=${PICTURE_MODEL:-}
if [ -z "$model" ]; then
	model=$BUILD/picture.pt
	"$PYTHON" corpus.py "$BUILD/pictures" "$BUILD/corpus.pt" --sets "$sets"
	"$PYTHON" train.py "$BUILD/corpus.pt" "$model" --minutes "${PICTURE_MINUTES:-60}" --qat 0 ${PICTURE_RESUME:+--resume "$PICTURE_RESUME"}
fi
[ -f "$BUILD/judge-same.pt" ] || "$PYTHON" judge.py "$BUILD/pictures" "$BUILD/judge-same.pt" --sets "$sets" --minutes "${JUDGE_MINUTES:-4}"
[ -f "$BUILD/judge-unseen.pt" ] || "$PYTHON" judge.py "$BUILD/pictures" "$BUILD/judge-unseen.pt" --sets "$judged" --minutes "${JUDGE_MINUTES:-4}"
[ -f "$BUILD/judge-colour.pt" ] || "$PYTHON" judge.py "$BUILD/pictures" "$BUILD/judge-colour.pt" --colour --minutes "${JUDGE_MINUTES:-4}"
"$PYTHON" evaluate.py "$model" "$BUILD/pictures" "$BUILD/picture-figures" --sheets \
	--judge "$BUILD/judge-same.pt" --unseen "$BUILD/judge-unseen.pt" --colour "$BUILD/judge-colour.pt"
"$PYTHON" quantise.py "$model" "$BUILD/pictures" "$dir"
"$PYTHON" manifest.py "$dir" "$BUILD/picture-figures/evaluation.json"
