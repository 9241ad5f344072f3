# make help lists the targets. Everything needs Go only, unless it says otherwise.
GO      ?= go
BIN     := bin/essaim
PROMPT  ?= a red apple
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
PREFIX  ?= /usr/local
SHARE   := $(DESTDIR)$(PREFIX)/share
UNITS   := $(DESTDIR)$(PREFIX)/lib/systemd/system

CHECKER := -trimpath -buildvcs=false -ldflags '-s -w' # the same bytes everywhere

.PHONY: build imagine demo demo-stake demo-settlement demo-proof demo-bot demo-verification demo-engines checker certificate install uninstall test check fmt vet lint tidy gen gen-check cross vuln bench soak train clean help

build: ## build bin/essaim
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/essaim

install: build ## program, completions and man pages into PREFIX (/usr/local); DESTDIR=DIR for packages, SYSTEMD=yes for units
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(SHARE)/bash-completion/completions' '$(SHARE)/zsh/site-functions' '$(SHARE)/fish/vendor_completions.d' '$(SHARE)/man/man1'
	install -m 755 '$(BIN)' '$(DESTDIR)$(PREFIX)/bin/essaim'
	'$(BIN)' completion bash > '$(SHARE)/bash-completion/completions/essaim'
	'$(BIN)' completion zsh > '$(SHARE)/zsh/site-functions/_essaim'
	'$(BIN)' completion fish > '$(SHARE)/fish/vendor_completions.d/essaim.fish'
	'$(BIN)' man '$(SHARE)/man/man1'
	@if [ '$(SYSTEMD)' = yes ]; then install -d '$(UNITS)' && install -m 644 packaging/systemd/*.service '$(UNITS)'; fi

uninstall: ## remove what install has put into PREFIX; homes and keys stay
	rm -f '$(DESTDIR)$(PREFIX)/bin/essaim' '$(SHARE)/bash-completion/completions/essaim' '$(SHARE)/zsh/site-functions/_essaim' '$(SHARE)/fish/vendor_completions.d/essaim.fish'
	rm -f '$(SHARE)/man/man1/essaim.1' '$(SHARE)'/man/man1/essaim-*.1
	cd packaging/systemd && for unit in *.service; do rm -f "$(UNITS)/$$unit"; done

imagine: build ## draw a picture: make imagine PROMPT="a red apple"
	@./$(BIN) imagine "$(PROMPT)"

demo: build ## the story of one task on a fresh network, told and checked
	@./$(BIN) demo

demo-stake: build ## the story of stake on a fresh network, told and checked
	@./$(BIN) demo-stake

demo-settlement: build ## ten thousand tasks in two transactions, and two lies caught, told and checked
	@./$(BIN) demo-settlement

demo-proof: build ## a picture, its proof, its check without weights, and a liar convicted in one move, told and checked
	@./$(BIN) demo-proof

demo-bot: build ## people chat with bots on a network, a Telegram and a Discord of its own, told and checked
	@./$(BIN) demo-bot

checker: ## the page's checker of proofs, web/certificate/built: after changes of what it checks
	GOOS=js GOARCH=wasm $(GO) build $(CHECKER) -o bin/checker.wasm ./web/certificate/wasm
	gzip -9n -c bin/checker.wasm > web/certificate/built/checker.wasm.gz
	cp "$$($(GO) env GOROOT)/lib/wasm/wasm_exec.js" web/certificate/built/

certificate: build ## bin/certificate: a page that checks pictures' proofs in the browser, for any web server
	@mkdir -p bin/certificate
	GOOS=js GOARCH=wasm $(GO) build -trimpath -ldflags '-s -w' -o bin/certificate/certificate.wasm ./web/certificate/wasm
	@cp web/certificate/index.html web/certificate/certificate.js "$$($(GO) env GOROOT)/lib/wasm/wasm_exec.js" bin/certificate/
	@./$(BIN) proof key --out bin/certificate/pixel.key
	@gzip -9 -c bin/certificate/certificate.wasm | wc -c | awk '{ print "certificate.wasm  " $$1 " bytes gzipped" }'

demo-verification: build ## a wrong picture found, judged and paid back, told and checked
	@./$(BIN) demo-verification

demo-engines: build ## a real Ollama and the built-in engine, asked through three clients (builds Ollama the first time)
	@scripts/engines/demo.sh $(BIN)

test: ## all tests
	$(GO) test ./...

check: fmt vet lint tidy gen-check test ## all that CI runs

fmt: ## fail if a file is not formatted
	@out=$$(gofmt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$')); test -z "$$out" || { echo "not formatted (gofmt -w): $$out"; exit 1; }

vet: ## go vet
	$(GO) vet ./...

lint: ## staticcheck
	$(GO) -C tools build -o bin/ honnef.co/go/tools/cmd/staticcheck
	tools/bin/staticcheck ./...

tidy: ## fail if go.mod is not tidy
	$(GO) mod tidy -diff
	$(GO) mod verify

gen: ## generate protobuf types into gen/
	scripts/gen.sh

gen-check: ## fail if the generated types or the page's checker are not current
	scripts/gen.sh --check
	GOOS=js GOARCH=wasm $(GO) build $(CHECKER) -o bin/checker.wasm ./web/certificate/wasm
	@gzip -dc web/certificate/built/checker.wasm.gz | cmp - bin/checker.wasm || { echo "web/certificate/built is not of this source: make checker"; exit 1; }

cross: ## build for every platform: minutes each with a cold cache
	@for os in linux darwin windows; do for arch in amd64 arm64; do \
		echo "$$os/$$arch"; CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/essaim-$$os-$$arch ./cmd/essaim || exit 1; \
	done; done

vuln: ## known vulnerabilities in what is linked; asks vuln.go.dev
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...

bench: ## benchmarks of our own packages
	$(GO) test -run '^$$' -bench . -benchmem ./quant ./engine/... ./seal ./blob/... ./coordinator ./gateway ./bench/...

soak: build ## random sessions while every role is killed: SOAK=30m make soak
	bench/soak.sh

train: ## make the models anew from open data: hours of CPU; python3 with torch, npm (train/README.md)
	train/run.sh

clean: ## remove what was built
	rm -rf bin tools/bin

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
