#!/bin/sh
# Shows that a miner needs no open port: it runs in a network namespace of its own behind a
# router that masquerades and drops every connection from outside, and is paid for a picture.
# Needs root, ip and nft; changes nothing outside the namespaces but an address of a new
# interface.
#   scripts/nat/check.sh bin/essaim
set -eu
essaim=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
home=$(mktemp -d)
pids=
stop() {
	for p in $pids; do kill -TERM "$p" 2>/dev/null || true; wait "$p" 2>/dev/null || true; done
	ip netns del essaim-miner 2>/dev/null || true
	ip netns del essaim-router 2>/dev/null || true
	ip link del essaim0 2>/dev/null || true
	rm -rf "$home"
}
trap stop EXIT
until_ok() {
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		test $n -lt 300 || { echo "did not happen: $*" >&2; exit 1; }
		sleep 0.2
	done
}

ip netns add essaim-router
ip netns add essaim-miner
ip link add essaim0 type veth peer name wan netns essaim-router
ip addr add 10.77.0.1/24 dev essaim0
ip link set essaim0 up
ip -n essaim-router addr add 10.77.0.2/24 dev wan
ip -n essaim-router link set wan up
ip -n essaim-router link set lo up
ip -n essaim-router link add lan type veth peer name eth0 netns essaim-miner
ip -n essaim-router addr add 192.168.77.1/24 dev lan
ip -n essaim-router link set lan up
ip -n essaim-miner addr add 192.168.77.2/24 dev eth0
ip -n essaim-miner link set eth0 up
ip -n essaim-miner link set lo up
ip -n essaim-miner route add default via 192.168.77.1
ip netns exec essaim-router sysctl -q -w net.ipv4.ip_forward=1
ip netns exec essaim-router nft -f - <<'NFT'
table ip nat {
	chain out { type nat hook postrouting priority 100; oifname "wan" masquerade; }
}
table ip guard {
	chain forward { type filter hook forward priority 0; policy drop; iifname "lan" accept; ct state established,related accept; }
	chain input { type filter hook input priority 0; policy drop; ct state established,related accept; iifname "lo" accept; }
}
NFT

"$essaim" up --home "$home/net" --miners 0 --http 10.77.0.1:18420 --json >"$home/up.json" 2>"$home/up.log" &
pids="$! $pids"
until_ok test -s "$home/up.json"
ip netns exec essaim-miner "$essaim" miner run --home "$home/net" --coordinator http://10.77.0.1:18420 --yes --plain >"$home/miner.log" 2>&1 &
pids="$! $pids"
until_ok grep -q 'coordinators=1' "$home/miner.log"
echo "listening in the miner's namespace: $(ip netns exec essaim-miner ss -Hltn | wc -l)"
if ping -c 1 -W 1 192.168.77.2 >/dev/null 2>&1; then echo "the miner can be reached from outside"; exit 1; fi
cd "$home"
"$essaim" imagine "a red apple" --home "$home/net" --out apple.png >/dev/null
until_ok grep -q 'paid=1' "$home/miner.log"
tail -n 1 "$home/miner.log"
echo "ok: a miner behind NAT, with no open port, was paid"
