#!/bin/sh
# Generates the ledger's Go types from proto/, offline: what the sources import comes from the
# Go module cache, and the Buf registry is never asked.
#
#   scripts/gen.sh            write gen/chain and chain/ethkey/keys.pb.go
#   scripts/gen.sh --check    write nothing; fail if these files are not what proto/ says
set -eu
cd "$(dirname "$0")/.."
root=$PWD
module=github.com/essaim/essaim

(cd tools && GOBIN=$root/tools/bin go install github.com/bufbuild/buf/cmd/buf github.com/cosmos/gogoproto/protoc-gen-gocosmos)
PATH=$root/tools/bin:$PATH

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cp -r proto "$work/proto"

# The imports, each from the module that go.mod pins.
mod() { go list -m -f '{{.Dir}}' "$1"; }
mkdir -p "$work/imports/gogoproto" "$work/imports/google/api"
sdk=$(mod github.com/cosmos/cosmos-sdk)
for dir in amino cosmos tendermint; do cp -r "$sdk/proto/$dir" "$work/imports/"; done
cp -r "$(mod github.com/cosmos/cosmos-proto)/proto/cosmos_proto" "$work/imports/"
cp "$(mod github.com/cosmos/gogoproto)/gogoproto/gogo.proto" "$work/imports/gogoproto/"
for f in annotations http; do
	cp "$(mod github.com/grpc-ecosystem/grpc-gateway)/third_party/googleapis/google/api/$f.proto" "$work/imports/google/api/"
done

cd "$work"
cat >buf.yaml <<'END'
version: v2
modules:
  - path: proto
    lint:
      use: [STANDARD]
      # A service is called Msg or Query in every chain, and requests are named after it.
      except: [RPC_REQUEST_STANDARD_NAME, RPC_RESPONSE_STANDARD_NAME, RPC_REQUEST_RESPONSE_UNIQUE, SERVICE_SUFFIX]
  - path: imports
    lint: { ignore: [imports] }
END
cat >buf.gen.yaml <<'END'
version: v2
inputs:
  - directory: .
    paths: [proto/essaim]
plugins:
  - local: protoc-gen-gocosmos
    out: out
    opt: [plugins=grpc, Mgoogle/protobuf/any.proto=github.com/cosmos/gogoproto/types/any]
END
buf lint proto
buf generate
cd "$work/out/$module"
gofmt -w .

if [ "${1:-}" = --check ]; then
	stale=0
	for f in $(find . -name '*.go'); do
		cmp -s "$f" "$root/$f" || { echo "gen: $f is not what proto/ says; run scripts/gen.sh" >&2; stale=1; }
	done
	for f in $(cd "$root" && find ./gen/chain -name '*.go'); do
		[ -f "$f" ] || { echo "gen: $f comes from no file in proto/" >&2; stale=1; }
	done
	exit $stale
fi
rm -rf "$root/gen/chain"
cp -r . "$root/"
