# make build   the programs, in dist/
# make image   the runner image, in dist/: an OCI layout and archives for `docker load`
# make webhook-image  the image of the webhook service, in the engine of DOCKER_HOST
# make action  the action's programs, in dist/action, where releases have them
# make demo    does all set-up and shows the main job
# make test    does all set-up and runs the whole suite; make soak: the long form
# make bench   prints the figures, medians of ROUNDS, and draws test/bench/speed.svg
# make fuzz    every fuzz target for FUZZTIME
# make lint    vet, staticcheck, formatting, shell scripts
VERSION ?= $(patsubst v%,%,$(shell git describe --tags --always --dirty 2>/dev/null || echo dev))
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)
FUZZTIME ?= 20s
ROUNDS ?= 5
# Which figures, such as Start/large or Accept, and flags of test/bench, such as
# -all, and of test/bench/webhook.
BENCH ?= .
BENCHFLAGS ?=
WEBHOOKFLAGS ?=
# The webhook service's image, of this machine's architecture.
WEBHOOK_IMAGE ?= clipperregistry/webhook
GOARCH ?= $(shell go env GOARCH)
# References to push the image to, by commas; none: only build it.
PUSH ?=

# The same bytes wherever it is built, and programs that need no loader.
GO_BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
# The kernel maps the waiting loader beside the program that it waits for, so
# its address must be far from where programs are linked to.
LOADER_ADDRESS = 0x70001000
BUILD_LOADER = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -T $(LOADER_ADDRESS)'
ARCHES = amd64 arm64
WITH_STACK = test/setup/with-stack.sh

.PHONY: build image webhook-image action demo test soak bench fuzz lint clean
.DEFAULT_GOAL := build

build:
	$(GO_BUILD) -o dist/ ./cmd/clipper-runner ./cmd/runner ./cmd/applet
	$(foreach arch,$(ARCHES),GOOS=linux GOARCH=$(arch) $(GO_BUILD) -o dist/linux-$(arch)/ ./cmd/runner ./cmd/applet && ) true
	$(foreach arch,$(ARCHES),GOOS=linux GOARCH=$(arch) $(BUILD_LOADER) -o dist/linux-$(arch)/ ./cmd/loader && ) true

image: build
	go run ./cmd/build-image -version '$(VERSION)' -revision '$(REVISION)' -push '$(PUSH)'

# An engine's volume takes its owner from the directory data, which git cannot
# keep empty.
webhook-image:
	mkdir -p dist/webhook/data
	GOOS=linux GOARCH=$(GOARCH) $(GO_BUILD) -o dist/webhook/linux-$(GOARCH) ./cmd/clipper-runner
	docker build --file webhook/Dockerfile --build-arg TARGETARCH=$(GOARCH) --tag $(WEBHOOK_IMAGE) dist/webhook

action:
	$(foreach arch,$(ARCHES),GOOS=linux GOARCH=$(arch) $(GO_BUILD) -o dist/action/linux-$(arch) ./cmd/clipper-runner && ) true
	cd dist/action && sha256sum linux-* >SHA256SUMS

demo: image
	test/setup/install.sh packages
	$(WITH_STACK) --engine-optional test/setup/demo.sh

test: image
	test/setup/install.sh
	$(WITH_STACK) test/setup/test.sh

soak: image
	test/setup/install.sh
	$(WITH_STACK) go test ./test/e2e -count=1 -timeout 24h -args -stacks 1000 -seed 0 -kills 200 -storekills 1000 -long
	$(WITH_STACK) --engine-optional go test ./test/chaos -count=1 -timeout 24h -args -deliveries 50000 -seed 0

bench: image
	test/setup/install.sh
	$(WITH_STACK) go test ./test/bench -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 4h -rounds $(ROUNDS) $(BENCHFLAGS)
	$(WITH_STACK) --engine-optional go test ./test/bench/webhook -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 4h -rounds $(ROUNDS) $(WEBHOOKFLAGS)

fuzz:
	@set -e; for room in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$room | grep '^Fuzz'); do \
			echo "$$room $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$room; \
		done; \
	done

lint:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	@if command -v shellcheck >/dev/null; then shellcheck test/setup/*.sh .ci/run; else echo "no shellcheck here: the shell scripts are not checked"; fi

clean:
	rm -rf dist
