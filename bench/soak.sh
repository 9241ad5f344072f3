#!/usr/bin/env bash
# Random sessions on a network of separate processes while kill -9 hits every role; then
# the books are read: every session settled or expired, nothing held, the supply exact.
# SOAK says how long (default 60s; 30m for the long one), SEED which random numbers.
# Needs bin/essaim (make build), curl. BIN names another binary.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BIN:-$PWD/bin/essaim}
SEED=${SEED:-$(date +%s)}
RANDOM=$((SEED % 32768))
case ${SOAK:-60s} in *m) length=$((${SOAK%m} * 60)) ;; *) length=${SOAK:-60s}; length=${length%s} ;; esac
work=$(mktemp -d)
home=$work/home
roles=(validator coordinator miner-1 miner-2 miner-3)
declare -A pid kills
trap 'kill -9 "${pid[@]}" 2>/dev/null || true; wait 2>/dev/null || true; [ -n "${KEEP:-}" ] && echo "kept: $work" || rm -rf "$work"' EXIT

field() { grep -o "\"$1\": *\"\?[A-Za-z0-9:/.]*" | head -1 | sed 's/^"[^"]*": *"*//'; }
run() { "$bin" node "$home/$1" >>"$work/$1.log" 2>&1 & pid[$1]=$!; }
hit() { kill -9 "${pid[$1]}" 2>/dev/null || true; wait "${pid[$1]}" 2>/dev/null || true; kills[$1]=$((${kills[$1]:-0} + 1)); }
query() { timeout 20 "$bin" --home "$home" --gateway "$gateway" "$@"; }
# supply is the answer of the bank's TotalSupply, whose bytes name each coin and its amount.
supply() { curl -sf --max-time 20 "$ledger/abci_query?path=%22/cosmos.bank.v1beta1.Query/TotalSupply%22" | field value; }
settled() { query session list --json 2>/dev/null | grep -c '"state": *"\(settled\|expired\)"' || true; }
listed() { query session list --json 2>/dev/null | grep -c '"state":' || true; }

"$bin" up --home "$home" --http 127.0.0.1:0 --json >"$work/up.json" 2>"$work/up.log" & pid[up]=$!
for _ in $(seq 600); do [ -s "$work/up.json" ] && break; sleep 0.2; done
gateway=$(field gateway <"$work/up.json"); ledger=$(field ledger <"$work/up.json")
hit up; unset 'pid[up]' 'kills[up]'
for r in "${roles[@]}"; do run "$r"; done
for _ in $(seq 120); do before=$(supply) && [ -n "$before" ] && break; sleep 0.5; done
[ -n "$before" ] || { echo "the ledger does not answer"; exit 1; }

echo "soak: ${length}s, seed $SEED, load $(cut -d' ' -f1-3 /proc/loadavg)"
end=$((SECONDS + length)); sessions=0; drawn=0
while [ $SECONDS -lt $end ]; do
	if [ "$(jobs -rp | wc -l)" -lt $((${#roles[@]} + 3)) ]; then
		sessions=$((sessions + 1))
		timeout 60 "$bin" imagine "a red apple" --home "$home" --gateway "$gateway" --size 64x64 --count $((1 + RANDOM % 8)) \
			--out "$work/p$sessions.png" --json >>"$work/clients.log" 2>&1 &
	fi
	sleep $((1 + RANDOM % 3))
	if [ $((RANDOM % 3)) -eq 0 ]; then
		r=${roles[$((RANDOM % ${#roles[@]}))]}
		hit "$r"; sleep "0.$((RANDOM % 10))"; run "$r"
	fi
done
for r in "${roles[@]}"; do kill -0 "${pid[$r]}" 2>/dev/null || run "$r"; done

# Whoever has not settled is settled when idle, or expires.
for _ in $(seq 150); do
	all=$(listed); over=$(settled)
	[ "$all" -gt 0 ] && [ "$all" -eq "$over" ] && break
	sleep 2
done
drawn=$(find "$work" -maxdepth 1 -name 'p*.png' | wc -l)
after=$(supply)
echo "kills: $(for r in "${roles[@]}"; do printf '%s %s  ' "$r" "${kills[$r]:-0}"; done)"
echo "clients $sessions, pictures $drawn, sessions on the ledger $all, over $over"
query query totals
[ "$all" -eq "$over" ] || { echo "not over: $((all - over)) sessions"; query session list; exit 1; }
[ "$before" = "$after" ] || { echo "the supply was $before and is $after"; exit 1; }
echo "ok: every session is over, the supply is exact"
