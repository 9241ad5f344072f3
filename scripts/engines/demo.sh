#!/bin/sh
# A real Ollama with a tiny model and the built-in picture model behind one gateway, asked
# through three unmodified clients; then receipts and settlement. Run it as `make
# demo-engines`. It needs node, npm, python3 and what ollama.sh needs, or OLLAMA=path.
# ENGINE=llama takes llama.cpp instead of Ollama, as npm has it built.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
essaim=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cache=${CACHE:-$here/../../bin/engines}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
kind=${ENGINE:-ollama}
ollama=${OLLAMA:-$(command -v ollama || true)}
if test "$kind" = llama; then
	test -d "$cache/node_modules/node-llama-cpp" ||
		npm install --prefix "$cache" --no-audit --no-fund --silent --omit=optional --ignore-scripts node-llama-cpp@3.21.1 "@node-llama-cpp/linux-$(node -p process.arch)@3.21.1"
elif test -z "$ollama"; then
	"$here/ollama.sh" "$cache"
	ollama=$cache/ollama
fi
test -d "$cache/node_modules/ollama" || npm install --prefix "$cache" --no-audit --no-fund --silent openai@7.55.0 ollama@0.6.4
test -d "$cache/py/webuiapi" || python3 -m pip install --quiet --target "$cache/py" webuiapi==0.9.17

home=$(mktemp -d)
pids=
stop() { # what runs, newest first
	for p in $pids; do kill -TERM "$p" 2>/dev/null || true; wait "$p" 2>/dev/null || true; done
	pids=
}
trap 'stop; rm -rf "$home"' EXIT
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
until_ok() { # waits for a command to succeed, at most a minute
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		test $n -lt 300 || { echo "did not happen: $*" >&2; exit 1; }
		sleep 0.2
	done
}
began=$(date +%s)

"$here/tinygguf.py" "$home/tiny.gguf"
port=$(free)
if test "$kind" = llama; then
	echo "1. llama.cpp, with a model of random numbers"
	engine=openai=http://127.0.0.1:$port model=tiny
	cp "$here/llama.mjs" "$cache/"
	node "$cache/llama.mjs" "$home/tiny.gguf" "$port" >"$home/engine.log" 2>&1 &
	pids="$! $pids"
	until_ok python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/v1/models')"
else
	echo "1. Ollama, with a model of random numbers"
	engine=ollama=http://127.0.0.1:$port model=tiny:latest
	export OLLAMA_HOST=127.0.0.1:$port OLLAMA_MODELS="$home/models"
	HOME="$home" "$ollama" serve >"$home/engine.log" 2>&1 &
	pids="$! $pids"
	printf 'FROM %s\nTEMPLATE "{{ .Prompt }}"\n' "$home/tiny.gguf" >"$home/Modelfile"
	until_ok env HOME="$home" "$ollama" list
	HOME="$home" "$ollama" create tiny -f "$home/Modelfile" >/dev/null 2>&1
fi
"$essaim" miner engines --at "$engine"

echo "2. a network of two miners, both with it and the built-in engines"
up() {
	"$essaim" up --home "$home/net" --miners 2 --http 127.0.0.1:0 --engine "$engine" --json >"$home/up.json" 2>>"$home/up.log" &
	up=$!
	pids="$up $pids"
	until_ok test -s "$home/up.json"
	gateway=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["gateway"])' "$home/up.json")
}
up
"$essaim" apikey create demo --limit 1 --home "$home/net" --json >"$home/key.json"
key=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["secret"])' "$home/key.json")
picture=$(python3 -c 'import json, sys, urllib.request as u; print(next(m["id"] for m in json.load(u.urlopen(sys.argv[1] + "/v1/models"))["data"] if m["essaim"]["kind"] == "image/generate" or "image" in m["essaim"]["kind"]))' "$gateway")
echo "gateway $gateway"

echo "3. three unmodified clients"
cp "$here/clients.mjs" "$cache/"
node "$cache/clients.mjs" "$gateway" "$key" "$model" "$picture"
hostport=${gateway#http://}
PYTHONPATH="$cache/py" python3 "$here/client.py" "${hostport%:*}" "${hostport#*:}" "$key" "$picture"

echo "4. the gateway stops and settles its session; the network goes on"
"$essaim" apikey ledger --home "$home/net"
kill -TERM "$up"
wait "$up" || true
pids=${pids#"$up "}
: >"$home/up.json"
up
"$essaim" session show 1 --home "$home/net"
"$essaim" apikey reconcile --home "$home/net"
echo "done in $(($(date +%s) - began)) s"
