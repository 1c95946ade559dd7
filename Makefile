# The Python that makes the virtual environment, for example python3.13. An environment of another version is replaced.
# Without PYTHON, an existing environment stays.
PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
# Tests that can run in parallel; the rest run alone, beside the type checker only.
SIDE_BY_SIDE := tests/end_to_end tests/browser tests/states tests/integration/test_full_disk.py \
  $(addprefix tests/integration/,docker evaluation monitoring predictions services deployment serving sweep_server \
  sweeps tracking training registry algorithmia datasets storage views) \
  tests/unit
ONE_BY_ONE := $(filter-out $(SIDE_BY_SIDE) %/__pycache__,$(patsubst %/,%,$(wildcard tests/integration/*/)) \
  $(wildcard tests/integration/test_*.py))
# These tests wait for half of their time. The long ones come first, as listed.
ON_EVERY_CORE = -n $$(($$(getconf _NPROCESSORS_ONLN) + 2)) --dist loadfile --no-loadscope-reorder

# In parallel tests, threads would only compete for cores; without bytecode each process compiles the project again.
test fast: export OMP_NUM_THREADS := 1
test fast: export OPENBLAS_NUM_THREADS := 1
test fast: export PYTHONDONTWRITEBYTECODE :=

# pyenv and uv keep the versions that are not the default outside PATH.
CANDIDATES = $(if $(PYTHON),"$(PYTHON)" "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/*/bin/"$(PYTHON)" \
  "$$HOME"/.local/share/uv/python/*/bin/"$(PYTHON)",$(BIN)/python python3 python3.13 python3.12 python3.11 python3.14)

define bootstrap
@python=; \
for candidate in $(CANDIDATES); do \
  [ -n "$$python" ] && break; \
  "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null \
    && python=$$candidate; \
done; \
python=$${python:-$(or $(PYTHON),python3)}; \
if ! command -v "$$python" >/dev/null; then \
  echo "sailplane: $$python is not installed; expected Python 3.11 to 3.14. Install one, for example with" \
    "\`apt-get install python3 python3-venv\`, and run make again." >&2; \
  exit 1; \
fi; \
"$$python" -I plugins/sailplane/bootstrap.py --venv "$(VENV)" $(1)
endef

.PHONY: help up down status test fast lint types format bench soak states pictures lock clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.13 replaces .venv if it has another version; VENV=.venv-second uses another folder"

up: ## install, start the services, run the main DAG, show what came out
	$(call bootstrap)
	@$(BIN)/sailplane up

down: ## stop what `make up` started
	@if [ -x $(BIN)/sailplane ]; then $(BIN)/sailplane down; else echo "Nothing is installed, so nothing is running."; fi

status: ## every service and every served model
	$(call bootstrap)
	@$(BIN)/sailplane status

test: ## lint, types, import contracts, all tests
	$(call bootstrap,test)
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types & types=$$!; \
	$(BIN)/pytest --durations=10 $(ONE_BY_ONE); first=$$?; \
	wait $$types || exit 1; \
	$(BIN)/pytest --durations=10 $(ON_EVERY_CORE) $(SIDE_BY_SIDE) && exit $$first

fast: ## lint and the quick unit tests, within a minute
	$(call bootstrap,test)
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest -n logical --dist worksteal -m "not slow" tests/unit

lint:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types:
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: ## format the code and mend what ruff can mend
	$(call bootstrap,test)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: ## measure; BENCH=name for one, JSON=file for a row an object
	$(call bootstrap,test)
	@$(BIN)/python tests/benchmarks/run.py $(BENCH) $(if $(JSON),--json $(JSON))

soak: ## simulations behind the figures in the guides, and other long tests: hours; SOAK=name for one
	$(call bootstrap,test)
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -n logical --dist worksteal $(if $(SOAK),tests/soak/test_$(SOAK).py,tests/soak)
	@$(if $(SOAK),,LONG=1 $(BIN)/pytest tests/integration/sweeps/test_kills.py tests/end_to_end/test_sweep_kills.py \
	  tests/end_to_end/test_flights.py)
	@$(if $(SOAK),,$(MAKE) --no-print-directory states STEPS=20000)

states: ## random user actions and faults; STEPS=20000 for a long run, SEED=2 for others
	$(call bootstrap,test)
	@STEPS=$(or $(STEPS),500) SEED=$(or $(SEED),1) $(BIN)/pytest -q -n logical tests/states

pictures: ## take the README's pictures again, from a run in this checkout (needs chromium)
	$(call bootstrap,test)
	@$(BIN)/python tests/browser/pictures.py

lock: ## pin every package again (needs uv)
	@env -u PIP_FIND_LINKS uv pip compile pyproject.toml --extra test --universal \
	  --python-version 3.11 --no-annotate --no-header -q -o constraints.txt

clean: down ## remove .venv and the caches; .sailplane (data, models) stays
	@rm -rf "$(VENV)" "$(notdir $(VENV))-install.log" .venv-second .venv-second-install.log .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
