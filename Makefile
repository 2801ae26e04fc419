# `make verify` changes no file of the source, `make fix` does.
.PHONY: help build test verify fix soak twins bench container

help: ## What can be made
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

build: ## The program, as users get it: target/release/mcp-v8
	cargo build --locked --release

test: ## All tests
	cargo test --locked

verify: ## Everything that a change must pass, without changing a file
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --workspace
	python3 .ci/dependencies.py
	cargo test --locked

fix: ## Format, and take the fixes that clippy knows
	cargo fmt --all
	cargo clippy --locked --workspace --all-targets --fix --allow-dirty --allow-staged

soak: ## Ten minutes of mixed runs, a twentieth of them hostile, and then the twins
	bench/soak --seconds 600
	$(MAKE) twins

twins: ## 2,000 random programs of 200 runs in sessions that are moved, and one of 5,000: three hours on two processors; TWINS_SEED=N for others
	TWINS_PROGRAMS=1 TWINS_RUNS=5000 cargo test --locked --lib -- twins_stay_equal --nocapture
	TWINS_PROGRAMS=$${TWINS_PROGRAMS:-2000} TWINS_RUNS=$${TWINS_RUNS:-200} \
		cargo test --locked --lib -- twins_stay_equal --nocapture

bench: ## The table of bench/README.md
	bench/run

container: ## Build the image and try it
	tests/container/run
