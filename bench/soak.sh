#!/usr/bin/env bash
# Random sessions on a network of separate processes while kill -9 hits every role; then
# the books are read: sessions settled or expired, nothing held for others, the supply exact,
# nobody slashed.
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

# A session is settled when idle. One whose work died with the coordinator waits for its
# expiry, 6,000 blocks after its opening: WAIT=25m stays until then.
wait=${WAIT:-5m}; wait=$((${wait%m} * 60))
for _ in $(seq $((wait / 2))); do
	all=$(listed); over=$(settled)
	[ "$all" -gt 0 ] && [ "$all" -eq "$over" ] && break
	sleep 2
done
drawn=$(find "$work" -maxdepth 1 -name 'p*.png' | wc -l)
after=$(supply)
echo "kills: $(for r in "${roles[@]}"; do printf '%s %s  ' "$r" "${kills[$r]:-0}"; done)"
echo "clients $sessions, pictures $drawn, sessions on the ledger $all, over $over"
query query totals
record=$(query query record "$(query query actors | field node_key)" | tr -d ' \n'); echo "the coordinator's record: $record"
held=$(query query totals | grep -o '"escrowed": *[0-9]*' | grep -o '[0-9]*$')
open=$(query session list --json | tr -d ' \n' | grep -o '{[^{}]*"state":"open"[^{}]*}' | grep -o '"deposit":"\?[0-9]*' | grep -o '[0-9]*$' | paste -sd+ | bc || true)
[ "$held" -eq "${open:-0}" ] || { echo "escrow holds $held uaim, open sessions have ${open:-0}"; exit 1; }
[ "$all" -eq "$over" ] || { echo "$((all - over)) sessions wait for their expiry, with all of the $held uaim in escrow"; }
[[ $record == *'"slashes":0'* ]] || { echo "the coordinator is honest and was slashed"; exit 1; }
[ "$before" = "$after" ] || { echo "the supply was $before and is $after"; exit 1; }
echo "ok: nothing is held that no open session has, the supply is exact"
