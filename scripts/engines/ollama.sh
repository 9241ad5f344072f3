#!/bin/sh
# Builds Ollama from its Go module into the folder $1. It needs a C++ compiler and two
# packages of headers, nlohmann-json and stb, that its module leaves out, and takes
# minutes. The header of a third, miniaudio, comes with another module.
set -eu
version=v0.17.4
out=$(mkdir -p "$1" && cd "$1" && pwd)
test -x "$out/ollama" && exit 0
for header in nlohmann/json_fwd.hpp stb/stb_image.h; do
	test -e "/usr/include/$header" || {
		echo "ollama.sh: /usr/include/$header is missing; on Debian: apt-get install nlohmann-json3-dev libstb-dev" >&2
		exit 1
	}
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
go mod init build >/dev/null 2>&1
go mod download github.com/gen2brain/malgo@v0.11.23
mkdir -p inc/miniaudio
cp "$(go env GOMODCACHE)/github.com/gen2brain/malgo@v0.11.23/miniaudio.h" inc/miniaudio/
echo "building Ollama $version; this takes minutes"
CPATH="$work/inc" GOBIN="$out" go install "github.com/ollama/ollama@$version"
