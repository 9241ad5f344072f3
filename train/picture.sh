#!/bin/sh
# The picture model; called by run.sh, after the stage data. Some stages can be left out:
#   PICTURE_MODEL   float weights (.pt of train.py) to make the product of, instead of training
#   PICTURE_RESUME  float weights to go on training from
#   PICTURE_MINUTES of training      (default: 60)
#   JUDGE_MINUTES   of each judge's  (default: 4; the large ones get twice that)
#   PICTURE_FP32=1  where the processor has no arithmetic of bfloat16: three times as fast there
set -eu
dir=$OUT/pixel
mkdir -p "$dir/testdata" "$BUILD/pictures"
sets=noto,fluent-emoji-flat,twemoji
judged=noto-v1,emojione         # for judging only: the model never sees them
if [ ! -f "$BUILD/pictures/data.rgb" ]; then
	NODE_PATH="$BUILD/node_modules" node render.js "$BUILD/pictures" "$sets,$judged"
fi
fp32=${PICTURE_FP32:+--fp32}
model=${PICTURE_MODEL:-}
if [ -z "$model" ]; then
	model=$BUILD/picture.pt
	"$PYTHON" corpus.py "$BUILD/pictures" "$BUILD/corpus.pt" --sets "$sets"
	"$PYTHON" train.py "$BUILD/corpus.pt" "$model" --minutes "${PICTURE_MINUTES:-60}" --qat 0 $fp32 ${PICTURE_RESUME:+--resume "$PICTURE_RESUME"}
fi
judge() { # NAME SETS OPTION ...
	[ -f "$BUILD/judge-$1.pt" ] || { out=$BUILD/judge-$1.pt; sets=$2; shift 2; "$PYTHON" judge.py "$BUILD/pictures" "$out" --sets "$sets" $fp32 "$@"; }
}
minutes=${JUDGE_MINUTES:-4}
judge same "$sets" --minutes "$minutes"
judge same-colour "$sets" --minutes "$minutes" --colour
judge unseen "$judged" --minutes $((2 * minutes)) --large --seed 7
judge unseen-colour "$judged" --minutes $((2 * minutes)) --large --seed 7 --colour
"$PYTHON" evaluate.py "$model" "$BUILD/pictures" "$BUILD/picture-figures" --sheets \
	--judge "same_sets=$BUILD/judge-same.pt,unseen_sets=$BUILD/judge-unseen.pt" --colour "same_sets=$BUILD/judge-same-colour.pt,unseen_sets=$BUILD/judge-unseen-colour.pt"
"$PYTHON" quantise.py "$model" "$BUILD/pictures" "$dir"
"$PYTHON" manifest.py "$dir" "$BUILD/picture-figures/evaluation.json"
