# Everything a fresh machine needs is Python 3.11 to 3.13 with venv, and make.
# ARGS goes to the command: make up ARGS=--demo, make demo ARGS="--catalogue DIR", make test ARGS=tests/core.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Python keeps compiled modules, even where the environment turns this off. Otherwise each process, such as a run of
# Dagster or a worker of pytest, would compile all modules again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test test-all lint up bench lock clean

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 10

setup: $(READY)  ## a virtual environment with the locked versions

$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (once, a few minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(READY)  ## run the whole lab once, with no key and no network
	@$(BIN)/thumblab demo $(ARGS)

# Two processes that both take every core for their sums are slower than two that take one each.
# Each test process often waits for other processes, such as servers. So three of them keep two cores busy.
test: $(READY)  ## run the tests, three files at a time (ARGS="-n 0" for one)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 $(ARGS)

test-all: $(READY)  ## run all tests, also those that take a quarter of an hour each
	@THUMBLAB_TEST_PICTURES=100 $(BIN)/python -m pytest -m "" -s $(ARGS)

lint: $(READY)  ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

up: $(READY)  ## Dagster, MLflow and the scoring service, until Ctrl-C
	@$(BIN)/thumblab up $(ARGS)

bench: $(READY)  ## measure: what costs what, side by side
	@$(BIN)/python -m benchmarks

lock: $(READY)  ## resolve the versions of requirements.lock anew; torch stays where it is
	@grep -o '^torch==[0-9.]*' requirements.lock > $(VENV)/constraints.txt
	@$(BIN)/pip-compile --quiet --strip-extras --extra dev --upgrade --constraint $(VENV)/constraints.txt \
		--no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--output-file requirements.lock pyproject.toml
	@sed -i 's/^\(torch==[0-9.]*\)+cpu$$/\1/' requirements.lock

clean:  ## remove the environment and the lab's data
	rm -rf $(VENV) .thumblab
