# DevPocket Server: `make run` on a bare machine builds it and starts it.
# CARGO_TARGET_DIR is respected. YES=1 installs missing packages without asking.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup run web agent-image test test-kubernetes test-browser schemathesis bench-api lint openapi fmt bench

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Installs what running and testing need (asks first)
	@scripts/setup test

run: ## Builds and starts the server with a database of its own: make run ARGS="--listen 127.0.0.1:9000"
	@scripts/setup run
	@scripts/setup web
	@scripts/web
	@scripts/run $(ARGS)

web: ## Builds the web pages, which the next build of the server takes along
	@scripts/setup web
	@scripts/web

agent-image: ## Writes the agent's image as an OCI archive: target/agent-image.tar
	@scripts/agent-image $(OUTPUT) $(TAG)

test: ## Runs all tests that need no cluster: make test ARGS="-E 'test(name)'"
	@scripts/setup test
	@scripts/test $(ARGS)

test-kubernetes: ## Runs the tests that need a cluster: make test-kubernetes KUBECONFIG=~/.kube/config
	@scripts/setup test
	@scripts/test-kubernetes $(ARGS)

test-browser: ## Runs the tests in a real browser: make test-browser ARGS="-t paste"
	@scripts/setup browser
	@scripts/test-browser $(ARGS)

schemathesis: ## Asks a server at random what its OpenAPI document allows: EXAMPLES=50 make schemathesis
	@scripts/setup test
	@scripts/schemathesis

bench-api: ## Measures the API: requests a second, latency, statements (needs wrk and psql)
	@scripts/bench-api

lint: ## Checks the formatting and runs clippy, warnings are errors
	cargo fmt --all --check
	@CARGO_TARGET_DIR="$$(scripts/target-dir)" && export CARGO_TARGET_DIR && \
		set -x && cargo clippy --workspace --all-targets --features devpocket/cluster-tests -- -D warnings

openapi: ## Writes docs/openapi.json anew
	@CARGO_TARGET_DIR="$$(scripts/target-dir)" && export CARGO_TARGET_DIR && \
		cargo run -q -- openapi > docs/openapi.json

fmt: ## Formats the code
	cargo fmt --all

bench: ## Runs the benchmarks
	@CARGO_TARGET_DIR="$$(scripts/target-dir)" && export CARGO_TARGET_DIR && \
		scripts/build-agent && export DEVPOCKET_AGENT="$$CARGO_TARGET_DIR/devpocket-agent" && \
		set -x && cargo bench --workspace $(ARGS)
