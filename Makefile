# micro: `make help` lists the targets.
GO      ?= go
VERSION ?=
LDFLAGS  = -s -w $(if $(VERSION),-X github.com/micro/micro/v3/internal/buildinfo.version=$(VERSION))

.PHONY: help build quickstart test soak bench lint gen pictures cross

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

build: ## build micro and microd into bin/
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/micro ./cmd/microd

quickstart: build ## do the ten commands on a server of their own, and show them
	@testdata/quickstart.sh $(CURDIR)/bin

test: ## run every test
	$(GO) vet ./...
	$(GO) test -parallel 4 -timeout 20m ./...

soak: ## run the long tests: crash, kill and fault loops, a million random cases
	MICRO_SOAK=1 $(GO) test -timeout 3h ./backend/... ./cli/tui ./dynamic/...
	MICRO_SOAK=1 $(GO) test -timeout 3h -run 'UnderLoad|Kills' ./cmd/microd
	$(GO) test -race -timeout 1h -run 'Dashboard|Form|Follow|DevScreen|Fault' ./cmd/microd

bench: build ## measure, as ratios against a floor or a peer in the same run
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./bench

lint: ## check style, generated code and go.mod
	golangci-lint run ./...
	$(GO) mod tidy -diff

gen: ## generate code from the .proto files, the SDK's go.mod, and docs/reference
	$(GO) run ./internal/gen
	$(GO) run ./internal/reference

pictures: ## draw the pictures in docs/pictures anew, from the running product
	MICRO_PICTURES=$(CURDIR)/docs/pictures $(GO) test -count 1 -run '^TestPicture$$' ./cmd/microd

cross: ## compile for every platform of a release
	@for p in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do \
		echo $$p; GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) vet ./cmd/... || exit 1; \
	done
