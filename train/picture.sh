#!/bin/sh
# The picture model; called by run.sh, after the stage data. Some stages can be left out:
#   PICTURE_MODEL   float weights (.pt of train.py) to make the product of, instead of training
#   PICTURE_RESUME  float weights to go on training from
#   PICTURE_MINUTES of training      (default: 120, or 60 to go on from PICTURE_RESUME)
#   JUDGE_MINUTES   of each judge's  (default: 4, and 25 for the large one that has to tell a thousand things)
#   PICTURE_FP32=1  float32, the default where the processor has no arithmetic of bfloat16: three times as fast there
#   PICTURE_DEVICE  cpu or cuda      (default: cpu)
# Minutes are of processor time, however much of it other processes get; on a GPU, of the clock.
set -eu
dir=$OUT/pixel
mkdir -p "$dir/testdata" "$BUILD/pictures"
sets=noto,fluent-emoji-flat,twemoji
judged=noto-v1,emojione         # for judging only: the model never sees them
if [ ! -f "$BUILD/pictures/data.rgb" ]; then
	NODE_PATH="$BUILD/node_modules" node render.js "$BUILD/pictures" "$sets,$judged"
fi
grep -qs bf16 /proc/cpuinfo || PICTURE_FP32=${PICTURE_FP32-1}
how="--device ${PICTURE_DEVICE:-cpu} ${PICTURE_FP32:+--fp32}"
model=${PICTURE_MODEL:-}
if [ -z "$model" ]; then
	model=$BUILD/picture.pt
	"$PYTHON" corpus.py "$BUILD/pictures" "$BUILD/corpus.pt" --sets "$sets"
	minutes=120
	[ -z "${PICTURE_RESUME:-}" ] || minutes=60
	"$PYTHON" train.py "$BUILD/corpus.pt" "$model" --minutes "${PICTURE_MINUTES:-$minutes}" --qat 0 $how ${PICTURE_RESUME:+--resume "$PICTURE_RESUME"}
fi
judge() { # NAME SETS MINUTES OPTION ...
	out=$BUILD/judge-$1.pt from=$2 minutes=$3
	shift 3
	[ -f "$out" ] || "$PYTHON" judge.py "$BUILD/pictures" "$out" --sets "$from" --minutes "$minutes" $how "$@"
}
judge same "$sets" "${JUDGE_MINUTES:-4}"
judge same-colour "$sets" "${JUDGE_MINUTES:-4}" --colour
judge unseen "$judged" "${JUDGE_MINUTES:-25}" --large --seed 7
judge unseen-colour "$judged" "${JUDGE_MINUTES:-4}" --large --seed 7 --colour
"$PYTHON" evaluate.py "$model" "$BUILD/pictures" "$BUILD/picture-figures" --sheets \
	--judge "same_sets=$BUILD/judge-same.pt,unseen_sets=$BUILD/judge-unseen.pt" --colour "same_sets=$BUILD/judge-same-colour.pt,unseen_sets=$BUILD/judge-unseen-colour.pt"
"$PYTHON" quantise.py "$model" "$BUILD/pictures" "$dir"
"$PYTHON" manifest.py "$dir" "$BUILD/picture-figures/evaluation.json"
