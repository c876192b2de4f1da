# Voxgate: what there is to run. `make help` lists the targets. Each sets up what it needs, and is quick the second time.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamps
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint configs/constraints.txt
SOURCES := gateway model_store admin tests

.DEFAULT_GOAL := help
.PHONY: help demo run test soak check format bench clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP)/demo ## Start a gateway on a free port, send it the bundled samples, print what it heard
	@VOXGATE_SERVER_DATA_DIR=$(CURDIR)/.voxgate/demo $(BIN)/python -m gateway.demo

run: $(STAMP)/demo ## Serve on 127.0.0.1:8080
	@$(BIN)/voxgate serve

test: $(STAMP)/dev $(STAMP)/promtool ## Run the tests
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest

soak: $(STAMP)/dev ## Run the tests that take long
	@$(BIN)/python -m pytest tests/soak

check: $(STAMP)/dev ## Lint, check the format and the types
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy

format: $(STAMP)/dev ## Format the code
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

bench: $(STAMP)/dev ## Measure; prints a section for tests/bench/RESULTS.md
	@$(BIN)/python -m tests.bench

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .voxgate .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV)

$(STAMP)/demo: pyproject.toml configs/constraints.txt | $(BIN)/python
	@echo "Installing Voxgate with Paddle for the CPU ..."
	@$(INSTALL) --editable '.[cpu,demo]'
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/dev: pyproject.toml configs/constraints.txt | $(BIN)/python
	@echo "Installing Voxgate with what its tests need ..."
	@$(INSTALL) --editable '.[cpu,paddlespeech,dev]'
	@mkdir -p $(STAMP) && touch $@ $(STAMP)/demo

# Prometheus' own check of the alert rules: taken out of Debian's package, so that no server is set up. Where that cannot
# be had, its tests are skipped and say so.
APT := -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
$(STAMP)/promtool: $(STAMP)/dev
	@command -v promtool >/dev/null || { mkdir -p $(VENV)/deb && cd $(VENV)/deb && apt-get -qq $(APT) update && \
		apt-get -qq $(APT) download prometheus && dpkg -x prometheus_*.deb . && cp usr/bin/promtool ../bin/; } 2>/dev/null || \
		echo "promtool cannot be had here: the tests of the alert rules are skipped."
	@rm -rf $(VENV)/deb && touch $@
