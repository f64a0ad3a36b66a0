# Bulkhead: everything starts here, on a fresh machine too. `make` alone lists what there is.

VENV ?= .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
EXTRAS := people sandbox dev
WORKERS ?= 2
CHAOS_WORKERS ?= 2
ARGS ?=
PYTEST := $(PY) -m pytest -q --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help setup run test lint unit soak bench clean

help: ## list the targets
	@echo 'usage: make TARGET [ARGS="..."] [PYTHON=python3.12] [WORKERS=2]'
	@echo
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name text; do \
		printf '  make %-8s %s\n' "$$name" "$$text"; done
	@echo
	@echo 'The first target that needs it makes $(VENV) with all dependencies; later ones start at once.'

$(READY): pyproject.toml deploy/make-environment deploy/requirements.py deploy/system-packages.txt
	@PYTHON='$(PYTHON)' deploy/make-environment $(VENV) $(EXTRAS)
	@touch $@

setup: $(READY) ## make the virtual environment with all dependencies

run: $(READY) ## run a real job through the embedded server and watch it; ARGS="--jobs 3 --help ..."
	@$(PY) supervisor.py run $(ARGS)

test: lint unit ## ruff, mypy and all tests; skipped ones are counted with their reasons

lint: $(READY) ## ruff and mypy (strict) only
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .
	$(PY) -m mypy .

# Those that kill real pilots come first and alone: they share the machine with nothing but their like.
unit: $(READY) ## all tests without ruff and mypy; ARGS="-k journal" chooses
	@status=0; \
	$(PYTEST) -n $(CHAOS_WORKERS) -m chaos $(ARGS) || { last=$$?; [ $$last -eq 5 ] || status=$$last; }; \
	$(PYTEST) -n $(WORKERS) -m 'not chaos' $(ARGS) || status=$$?; \
	exit $$status

# A million simulated jobs, every crash point, the long kills and waits; hours on two cores.
soak: $(READY) ## the long simulation and chaos runs; ARGS="-k simulation" chooses
	BULKHEAD_SIM_JOBS=1000000 BULKHEAD_SOAK=1 $(PYTEST) -n $(CHAOS_WORKERS) -m 'chaos or simulation' --timeout 36000 $(ARGS)

bench: $(READY) ## the benchmarks; ARGS="..."
	@[ -f benchmarks/__main__.py ] || { echo 'make bench: there is no benchmarks/__main__.py in this version'; exit 2; }
	$(PY) -m benchmarks $(ARGS)

clean: ## remove what was made: environment, caches, bulkhead-run
	rm -rf $(VENV) bulkhead-run build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
