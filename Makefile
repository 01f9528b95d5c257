# Everything a fresh machine needs is Python 3.11 to 3.13 with venv, and make.
# ARGS goes to the command: make up ARGS=--demo, make demo ARGS="--catalogue DIR", make test ARGS=tests/core.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
UV := $(BIN)/python .ci/uv.py
LOCKED := --quiet --no-header --no-annotate --constraint $(VENV)/constraints.txt pyproject.toml
READY := $(VENV)/.ready

# Python keeps compiled modules, even where the environment turns this off. Otherwise each process, such as a run of
# Dagster or a worker of pytest, would compile all modules again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test test-all lint docs up bench secrets lock lock-images clean \
	faces-pipeline-dual faces-pipeline-full faces-cluster-dual faces-train-matching faces-stats

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 10

setup: $(READY)  ## a virtual environment with the locked versions

# uv installs in a fifth of pip's processor time. Where the package index has no uv, pip installs the same versions.
$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (once, a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if $(PIP) install --quiet $$(grep '^uv==' requirements.lock); then \
		$(UV) pip install --quiet -r requirements.lock && $(UV) pip install --quiet --no-deps --editable .; \
	else \
		echo "uv could not be installed, see above. pip does the same, and takes a few minutes."; \
		$(PIP) install --quiet -r requirements.lock && $(PIP) install --quiet --no-deps --editable .; \
	fi
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

docs: $(READY)  ## the book: docs/ as a site in site/
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

bench: $(READY)  ## measure: what costs what, side by side
	@$(BIN)/python -m benchmarks

# The containers run as another user than this one. So the files are readable, and the folder is closed to other users.
secrets:  ## the secret files of docker-compose.yml; files that exist stay
	@mkdir -p secrets && chmod 700 secrets
	@for name in database-password api-key; do \
		test -s secrets/$$name || head -c 32 /dev/urandom | base64 | tr -d '+/=\n' > secrets/$$name; \
	done
	@for name in youtube-api-key alert-webhook-url alert-smtp-password; do test -e secrets/$$name || : > secrets/$$name; done
	@chmod 644 secrets/*

# torch stays where it is: other versions may exist only as CUDA builds. Its suffix is removed, see docs/install.md.
lock: $(READY)  ## resolve all versions anew, and lock them
	@grep -o '^torch==[0-9.]*' requirements.lock > $(VENV)/constraints.txt
	@$(UV) pip compile $(LOCKED) --upgrade --extra dev --output-file requirements.lock
	@sed -i -e 's/^\(torch==[0-9.]*\)+cpu$$/\1/' \
		-e '1i # Every version that the lab was tested with. `make lock` writes this file, and `make setup` installs it.' requirements.lock
	@$(MAKE) --no-print-directory lock-images

lock-images: $(READY)  ## lock the packages of each image, in the versions of requirements.lock
	@cp requirements.lock $(VENV)/constraints.txt
	@for image in serving pipelines; do \
		overrides=$$(test $$image = serving && echo --override deploy/serving-overrides.txt); \
		$(UV) pip compile $(LOCKED) $$overrides --upgrade --extra $$image --output-file requirements-$$image.lock && \
		sed -i -e 's/^\(torch==[0-9.]*\)+cpu$$/\1/' \
			-e "1i # The packages of the image '$$image': a part of requirements.lock. \`make lock-images\` writes this file." \
			requirements-$$image.lock || exit 1; \
	done

clean:  ## remove the environment and the lab's data
	rm -rf $(VENV) .thumblab
