# Everything works from a fresh clone: each target first makes .venv, with the `podgate` command and every extra.
#
#   make demo    start Podgate, launch three pods, prove each with a real client (KEEP=1 leaves it running)
#   make test    lint, types and all tests, scenarios with real clients and servers included
#   make check   lint and types
#   make test-cluster KUBECONFIG=FILE    what only a real cluster can show, on that cluster (tests/cluster/README.md)
#   make bench   Podgate beside its peers, 20 minutes (asserts nothing); BENCH="relay --runs 3" for a part
#   make setup   only the environment

.PHONY: setup demo test test-cluster check bench system clients
.DEFAULT_GOAL := setup

PYTHON ?= python3
BIN := .venv/bin
BENCH ?= --seconds 0.35
STAMP := .venv/.complete

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Podgate needs Python 3.11 or newer; $(PYTHON) is older. Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "==> making .venv (Podgate with every extra; several minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "The venv module is incomplete; on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all]'
	@touch $@

# Clients that come from the distribution: psql and a browser.
system:
	@sh deploy/system-packages.sh

# Clients of other languages and older ones, for tests: JDBC, node.js' pg, Neo4j's drivers.
clients: setup
	@sh deploy/client-packages.sh

demo: setup system
	@$(BIN)/podgate demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check system clients
	@sh deploy/test.sh $(BIN)/pytest

# Not part of `make test`. ARGS=--no-kubelet: for an API server without machines.
test-cluster: setup
	@test -n "$(KUBECONFIG)" || { echo "Say which cluster: make test-cluster KUBECONFIG=~/.kube/config"; exit 1; }
	@sh deploy/client-packages.sh
	$(BIN)/pytest tests/cluster/run.py --kubeconfig "$(KUBECONFIG)" $(ARGS)

bench: setup system
	@sh deploy/bench-packages.sh
	$(BIN)/podgate bench run $(BENCH)
