# What people and CI run. `make setup` installs what is missing.

CARGO ?= cargo
# rustup puts cargo here; a shell that was open before the installation does not look there yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: all setup build test bench lint doc fmt demo clean

all: build

setup:
	scripts/setup.sh

build:
	$(CARGO) build --release

# Integration tests start throwaway PostgreSQL servers; SETPOINT_POSTGRES=DIR says where the programs are if not in the usual
# places, SETPOINT_TEST_MAJOR=15 which version to test on.
test: setup
	$(CARGO) test --locked

# Ratios to pg_dump and psql, side by side in one run.
bench: build
	scripts/bench

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

fmt:
	$(CARGO) fmt

# A guided run on a throwaway server.
demo: setup
	$(CARGO) run --locked -- demo

clean:
	$(CARGO) clean
