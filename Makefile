# The commands of the README. Everything that must be installed is installed by .ci/install, which says what it does.

SHELL := /bin/bash
CARGO ?= cargo

.PHONY: help test test-vm cases chaos unit lint spell demo demo-down bench bench-peers dist install

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | column -t -s '	'

install: ## install what the lab and the tests need (Debian packages; needs root)
	@.ci/install

lint: ## formatting, clippy, documentation, licences
	@.ci/lint

unit: ## the tests that need no lab
	$(CARGO) test --locked --lib --test it

spell: ## spelling, by typos (cargo install typos-cli)
	@command -v typos >/dev/null || { echo "typos is missing; try: cargo install --locked typos-cli@1.52.0" >&2; exit 1; }
	@typos

test: install ## every test, the lab's included
	@.ci/test

test-vm: ## what needs whole virtual machines: routing mesh, virtual IPs, NFS, memory limits (half an hour)
	@.ci/test-vm

chaos: install ## kill skep, take managers away and run twice at once, at random on lab nodes (hours; CHAOS="kills --seed 7" are arguments)
	@.ci/chaos $(CHAOS)

cases: install ## states of machines and files of others that were once handled wrongly (an hour; CASES="sighup ..." are names)
	@.ci/cases $(CASES)

demo: install ## three bare nodes become a labelled swarm
	@.ci/demo

demo-down: ## remove what `make demo` started
	@.ci/demo down

bench: install ## time `check` beside the floor
	@.ci/bench

bench-peers: install ## the same beside Ansible, mitogen and pyinfra (installs them into target/peers)
	@.ci/bench-peers

dist: ## the release binary: one stripped file in target/dist
	@.ci/dist
