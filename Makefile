# `make verify` changes no file of the source, `make fix` does.
.PHONY: help build test verify fix soak tasks twins session-twins power-loss faults failover bench container

help: ## What can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

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

soak: ## Ten minutes of mixed runs, a twentieth of them hostile; then the cluster's faults, and the twins
	bench/soak --seconds 600
	$(MAKE) failover
	$(MAKE) power-loss
	$(MAKE) faults
	$(MAKE) tasks
	$(MAKE) session-twins
	$(MAKE) twins

twins: ## 2,000 random programs of 200 runs in sessions that are moved, and one of 5,000: three hours on two processors; TWINS_SEED=N for others
	TWINS_PROGRAMS=1 TWINS_RUNS=5000 cargo test --locked --lib -- twins_stay_equal --nocapture
	TWINS_PROGRAMS=$${TWINS_PROGRAMS:-2000} TWINS_RUNS=$${TWINS_RUNS:-200} \
		cargo test --locked --lib -- twins_stay_equal --nocapture

failover: ## 50 leaders are killed under a write each 10 ms
	bench/failover --kills 50 --gap-ms-max 1500

session-twins: ## 10,000 random programs in sessions that are moved between three nodes; SESSION_TWINS_SEED=N for others
	SESSION_TWINS=$${SESSION_TWINS:-10000} cargo test --locked --test it -- sessions::twins --nocapture

power-loss: ## 2,000 losses of power; POWER_LOSS_SEED=N for others
	POWER_LOSS_CRASHES=$${POWER_LOSS_CRASHES:-2000} POWER_LOSS_SEED=$${POWER_LOSS_SEED:-1000} \
		cargo test --locked --package mcp-v8 --package cluster --test it -- power_loss:: --nocapture

tasks: ## 100 rounds of 24 tasks on three nodes that are killed, frozen and cut off; TASKS_SEED=N for others
	TASKS_ROUNDS=$${TASKS_ROUNDS:-100} TASKS_SEED=$${TASKS_SEED:-1000} \
		cargo test --locked --package mcp-v8 --package cluster --test it -- tasks::cluster::every_task --nocapture

faults: ## Ten times each fault of three nodes
	for round in 1 2 3 4 5 6 7 8 9 10; do \
		cargo test --locked --package mcp-v8 --package cluster --test it -- cluster::faults || exit 1; \
	done

bench: ## The table of bench/README.md
	bench/run

container: ## Build the image and try it
	tests/container/run
