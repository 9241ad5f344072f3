#!/usr/bin/env bash
# Measures whole processes: exec to ready, prompt to settled, memory idle and under
# load. Prints what bench/README.md quotes. Needs bin/essaim (make build) and GNU time.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin/essaim
work=$(mktemp -d)
trap 'kill "$up" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
up=
runs=${RUNS:-20}

# percentile P FILE: the P-th percentile of the numbers in a file.
percentile() { sort -n "$2" | awk -v p="$1" '{a[NR]=$1} END {i=int((NR*p+99)/100); print a[i<1?1:i]}'; }
number() { grep -o "\"$1\": [0-9]*" | head -1 | grep -o '[0-9]*$'; }

echo "machine: $(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), load $(cut -d' ' -f1-3 /proc/loadavg)"
echo "binary: $(stat -c %s "$bin") bytes"

for i in $(seq 5); do
	rm -f "$work/up.json"
	"$bin" up --home "$work/fresh$i" --http 127.0.0.1:0 --json >"$work/up.json" 2>/dev/null & up=$!
	until [ -s "$work/up.json" ]; do sleep 0.01; done
	number ready_ms <"$work/up.json" >>"$work/ready"
	kill -INT $up; wait $up || true
done
echo "exec to ready, new home: median $(percentile 50 "$work/ready") ms of 5"

rm -f "$work/up.json"
"$bin" up --home "$work/home" --http 127.0.0.1:0 --json >"$work/up.json" 2>/dev/null & up=$!
until [ -s "$work/up.json" ]; do sleep 0.05; done
sleep 5
echo "rss idle, all roles in one process: $(awk '/VmRSS/ {print $2}' /proc/$up/status) kB"
for i in $(seq "$runs"); do
	"$bin" imagine "a red apple" --home "$work/home" --seed "$i" --out "$work/p.png" --json | number elapsed_ms >>"$work/settled"
done
echo "prompt to settled, own session each, 200 ms blocks: p50 $(percentile 50 "$work/settled") ms, p95 $(percentile 95 "$work/settled") ms of $runs"
before=$(awk '{print $14+$15}' /proc/$up/stat)
for c in 1 2 3 4; do "$bin" imagine "a red apple" --home "$work/home" --count 25 --out "$work/q$c.png" --json >"$work/load$c" & done
peak=0
while pgrep -f "$work/home --count" >/dev/null; do
	now=$(awk '/VmRSS/ {print $2}' /proc/$up/status); [ "$now" -gt "$peak" ] && peak=$now
	sleep 0.1
done
after=$(awk '{print $14+$15}' /proc/$up/stat)
echo "rss under load, 4 clients of 25 pictures each: $peak kB"
echo "cpu of the network for these 100 pictures, blocks included: $(( (after - before) * 10 )) ms"
kill -INT $up; wait $up || true
for i in $(seq 5); do
	/usr/bin/time -f '%e %U %M' "$bin" imagine "a red apple" --home "$work/none" --seed "$i" --out "$work/p.png" >/dev/null 2>"$work/time"
	tail -1 "$work/time" >>"$work/ephemeral"
done
echo "imagine with a network of its own, wall s, user s, peak kB (median of 5 by wall): $(sort -n "$work/ephemeral" | sed -n 3p)"
