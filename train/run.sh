#!/bin/sh
# Makes the models of the binary from open data, weights and manifests included:
#
#   train/run.sh [STAGE ...]        data, picture, text; default: all of them, in this order
#
# Needs python3 with numpy and torch, npm, and for picture also pillow. README.md says how long each stage takes.
#   PYTHON   the interpreter                                       (default: python3)
#   BUILD    folder for everything in between, relative to train/  (default: build)
#   OUT      where OUT/text and OUT/pixel go, relative to train/   (default: ../engine)
# and, to try the way without walking it: TEXT_STEPS, PICTURE_MINUTES, JUDGE_MINUTES.
set -eu
cd "$(dirname "$0")"
PYTHON=${PYTHON:-python3}
mkdir -p "${BUILD:=build}" "${OUT:=../engine}"
BUILD=$(cd "$BUILD" && pwd)
OUT=$(cd "$OUT" && pwd)
export PYTHON BUILD OUT
# Two threads on shared cores are slower than one: OpenBLAS spins.
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

"$PYTHON" -c 'import numpy, torch' || { echo "run.sh: $PYTHON has no numpy or no torch; set PYTHON (Debian: apt-get install python3-torch)" >&2; exit 1; }

for stage in ${*:-data picture text}; do
	echo "== $stage"
	case $stage in
	data)
		cp package.json package-lock.json "$BUILD"
		npm ci --prefix "$BUILD" --no-audit --no-fund
		;;
	picture | text) "./$stage.sh" ;;
	*)
		echo "run.sh: no stage is called $stage" >&2
		exit 2
		;;
	esac
done
