# `make` sets up .venv with everything from the lock; `.venv/bin/drakit` is the command.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# More than processors: a rehearsal waits most of its time for what the AWS provider waits for. Long files come first.
WORKERS := -n 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := setup
.PHONY: setup tools demo test faults faults-every lint format bench bench-rehearsal lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'drakit needs Python 3.11 or newer; name it: make PYTHON=python3.12' >&2; exit 3; }
	@echo 'setting up $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Terraform, Helm and the sandbox's control plane: from PATH where they fit, otherwise built once.
tools: setup
	@$(BIN)/drakit tools install

# In a folder of its own, so that a sandbox of yours is left alone. Comes down again also when a step fails.
demo: tools
	@mkdir -p .demo && cd .demo && drakit() { echo "\$$ drakit $$*"; ../$(BIN)/drakit "$$@"; }; \
	drakit up && drakit scale g6=1 && drakit demo basic --keep && drakit status; status=$$?; \
	drakit down && exit $$status

test: setup
	@$(BIN)/drakit tools install helm terraform controlplane-1.33 controlplane-1.35
	@$(BIN)/python -m pytest $(WORKERS)

# Every command broken after each of its events.
faults: tools
	@$(BIN)/drakit tools install controlplane-1.35
	@$(BIN)/python -m pytest $(WORKERS) tests/faults

# The same of a rehearsal with nothing left out: an hour or more, for a night.
faults-every: tools
	@$(BIN)/python -m pytest -n 4 --dist load tests/faults/points/every_event.py

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

# The figures of the README: medians, never a test.
bench: tools
	@$(BIN)/python -m bench.bench

# What drakit adds to Terraform and Helm, in a rehearsal.
bench-rehearsal: tools
	@$(BIN)/python -m bench.rehearsal

# Needs uv; every file is pinned with its hashes.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--no-emit-find-links --group dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
