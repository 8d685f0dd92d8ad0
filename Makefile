# Two commands do everything: `make repro` and `make test`. Both first install what uv.lock lists into .venv.
# Written for GNU make 3.81 and later, and a POSIX shell.

.DEFAULT_GOAL := help
.PHONY: help setup repro compare test lint bench ui

# The uv on PATH if pyproject.toml accepts its version; otherwise tools/get_uv.py downloads one into .uv.
UV := $(if $(shell uv cache dir 2>/dev/null),uv,.uv/bin/uv)
RUN := $(UV) run --frozen
NEEDS_UV := $(filter-out uv,$(UV))

# With bytecode on disk, importing torch takes 1.2 s instead of 4 s, in each of some fifty processes.
unexport PYTHONDONTWRITEBYTECODE
# The environment is always .venv; if another one is active, uv would warn about it.
unexport VIRTUAL_ENV

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(NEEDS_UV) ## install what uv.lock lists into .venv; EXTRAS="cluster postgres" adds these extras
	$(UV) sync --frozen $(addprefix --extra=,$(EXTRAS))

repro: $(NEEDS_UV) ## set up, then build everything that is out of date, up to the report
	$(RUN) melisma repro
	@echo
	@echo "Report: $(CURDIR)/data/report/index.html"
	@echo "Runs:   'make ui' serves MLflow's UI and prints its address"

# Without the hashes of code and data: they say little and fill the screen.
compare: $(NEEDS_UV) ## what differs between the experiments of this commit: params and metrics
	@$(RUN) dvc exp show --only-changed --hide-failed --drop '(data|pipeline|stages)/|Created|State|Executor' $(ARGS)

# Files in their own order: xdist's default starts the files of few, long tests last, and all processes wait for one.
test: $(NEEDS_UV) ## set up, then run the test suite
	$(RUN) pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(NEEDS_UV) ## check style, format and types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

bench: $(NEEDS_UV) ## measure speed and memory against named references
	$(RUN) python -m benchmarks

ui: $(NEEDS_UV) ## serve MLflow's UI on this machine and print its address, until Ctrl-C
	@$(RUN) melisma ui

.uv/bin/uv:
	@for python in python3 python3.13 python3.12 python3.11 python; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    exec $$python tools/get_uv.py .uv; \
	  fi; \
	done; \
	echo "error: there is no Python 3.11 or newer on PATH; install one, then run make again" >&2; exit 1
