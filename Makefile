# A fresh machine needs only make and Python 3.11 to 3.13 with venv.
# ARGS holds arguments for the command: make up ARGS=--demo, make demo ARGS="--catalogue DIR", make test ARGS=tests/core.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
UV := $(BIN)/python .ci/uv.py
LOCKED := --quiet --no-header --no-annotate --constraint $(VENV)/constraints.txt pyproject.toml
READY := $(VENV)/.ready

# Let Python store compiled modules, even if PYTHONDONTWRITEBYTECODE is set. Otherwise each process, such as a run of
# Dagster or a worker of pytest, compiles all modules again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test test-slow test-all lint docs up bench bench-scale secrets lock lock-images clean \
	faces-pipeline-dual faces-pipeline-full faces-cluster-dual faces-train-matching faces-stats

help:  ## list the targets of this Makefile
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 10

setup: $(READY)  ## make the virtual environment with the locked versions

# Install with uv, which needs a fifth of pip's processor time. If the package index has no uv, pip installs the same
# versions.
$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (once, a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if $(PIP) install --quiet $$(grep '^uv==' requirements.lock); then \
		$(UV) pip install --quiet -r requirements.lock && $(UV) pip install --quiet --no-deps --editable .; \
	else \
		echo "uv could not be installed, see above. pip installs the same packages, and takes a few minutes."; \
		$(PIP) install --quiet -r requirements.lock && $(PIP) install --quiet --no-deps --editable .; \
	fi
	@touch $@

demo: $(READY)  ## run the whole lab once, with no key and no network
	@$(BIN)/thumblab demo $(ARGS)

# One thread per process (OMP_NUM_THREADS=1): processes that each use all cores slow each other down. Three test
# processes keep two cores busy, because each of them often waits for others, such as servers.
test: $(READY)  ## run the quick tests, three files at a time (ARGS="-n 0" runs one at a time)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 $(ARGS)

test-slow: $(READY)  ## run the tests that take more than a few seconds each
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 -m "slow and not heavy" $(ARGS)

test-all: $(READY)  ## run all tests, also those that take a quarter of an hour each
	@THUMBLAB_TEST_PICTURES=100 $(BIN)/python -m pytest -m "" -s $(ARGS)

lint: $(READY)  ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(READY)  ## build the documentation of docs/ as a website in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --clean

up: $(READY)  ## Dagster, MLflow and the scoring service, until Ctrl-C
	@$(BIN)/thumblab up $(ARGS)

# The names of the specification for `thumblab people`. make faces-cluster-dual PERSON_THRESHOLD=0.8 MAX_FACES=1000
FACES_GROUPING = $(if $(PERSON_THRESHOLD),--person-threshold $(PERSON_THRESHOLD)) \
	$(if $(UNKNOWN_METHOD),--unknown-method $(UNKNOWN_METHOD)) $(if $(MAX_FACES),--max-faces $(MAX_FACES))
FACES_TRAINING = $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(MARGIN),--margin $(MARGIN)) \
	$(if $(MIN_FACES),--min-faces $(MIN_FACES))

faces-pipeline-dual: $(READY)  ## people: detect, cluster, figures
	@$(BIN)/thumblab people pipeline $(if $(LIMIT),--limit $(LIMIT)) $(FACES_GROUPING) $(ARGS)

faces-pipeline-full: $(READY)  ## people: detect, cluster, train, cluster again, figures
	@$(BIN)/thumblab people pipeline --full $(if $(LIMIT),--limit $(LIMIT)) $(FACES_GROUPING) $(FACES_TRAINING) $(ARGS)

faces-cluster-dual: $(READY)  ## people: match named people, group the others
	@$(BIN)/thumblab people cluster $(FACES_GROUPING) $(ARGS)

faces-train-matching: $(READY)  ## people: learn from the people who have a name
	@$(BIN)/thumblab people train $(FACES_TRAINING) $(ARGS)

faces-stats: $(READY)  ## people: how many faces, and who is on how many thumbnails
	@$(BIN)/thumblab people stats $(ARGS)

bench: $(READY)  ## run the benchmarks
	@$(BIN)/python -m benchmarks

bench-scale: $(READY)  ## measure how time and memory grow, up to a million vectors (hours)
	@$(BIN)/python -m benchmarks.scale $(ARGS)

# The containers run as another user, so the secret files must be readable. The folder is closed to other users instead.
secrets:  ## make the secret files for docker-compose.yml; existing files stay
	@mkdir -p secrets && chmod 700 secrets
	@for name in database-password api-key; do \
		test -s secrets/$$name || head -c 32 /dev/urandom | base64 | tr -d '+/=\n' > secrets/$$name; \
	done
	@for name in youtube-api-key alert-webhook-url alert-smtp-password; do test -e secrets/$$name || : > secrets/$$name; done
	@chmod 644 secrets/*

# Keep the locked version of torch, because newer versions may exist only as CUDA builds. Remove its suffix +cpu, see
# docs/install.md.
lock: $(READY)  ## resolve the versions of all packages anew, and lock them
	@grep -o '^torch==[0-9.]*' requirements.lock > $(VENV)/constraints.txt
	@$(UV) pip compile $(LOCKED) --upgrade --extra dev --output-file requirements.lock
	@sed -i -e 's/^\(torch==[0-9.]*\)+cpu$$/\1/' \
		-e '1i # Every version that the lab was tested with. `make lock` writes this file, and `make setup` installs it.' requirements.lock
	@$(MAKE) --no-print-directory lock-images

lock-images: $(READY)  ## lock the packages of each image, in the versions of requirements.lock
	@cp requirements.lock $(VENV)/constraints.txt
	@for image in serving pipelines; do \
		overrides=$$(test $$image = serving && echo --override deploy/serving-overrides.txt); \
		$(UV) pip compile $(LOCKED) $$overrides --upgrade --extra $$image --extra object-store \
			--output-file requirements-$$image.lock && \
		sed -i -e 's/^\(torch==[0-9.]*\)+cpu$$/\1/' \
			-e "1i # The packages of the image '$$image': a part of requirements.lock. \`make lock-images\` writes this file." \
			requirements-$$image.lock || exit 1; \
	done

clean:  ## remove the environment and the lab's data
	rm -rf $(VENV) .thumblab
