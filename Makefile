# The system's Python makes .venv; everything else runs in it.
PYTHON ?=
VENV := .venv/bin
# What does not mind others beside it; all else has the machine for itself, but for the type checker.
SIDE_BY_SIDE := tests/end_to_end tests/browser tests/states tests/integration/test_full_disk.py \
  $(addprefix tests/integration/,docker evaluation monitoring predictions services deployment serving sweep_server \
  sweeps tracking training registry algorithmia datasets storage views) \
  tests/unit
ONE_BY_ONE := $(filter-out $(SIDE_BY_SIDE) %/__pycache__,$(patsubst %/,%,$(wildcard tests/integration/*/)) \
  $(wildcard tests/integration/test_*.py))
# They wait for half of their time. The long ones come first, as they are listed.
ON_EVERY_CORE = -n $$(($$(getconf _NPROCESSORS_ONLN) + 2)) --dist loadfile --no-loadscope-reorder

# Side by side, threads would only spin for each other; and without bytecode each process compiles the project again.
test fast: export OMP_NUM_THREADS := 1
test fast: export OPENBLAS_NUM_THREADS := 1
test fast: export PYTHONDONTWRITEBYTECODE :=

define bootstrap
@python="$(PYTHON)"; \
for candidate in python3 python3.13 python3.12 python3.11 python3.14; do \
  [ -n "$$python" ] && break; \
  $$candidate -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null \
    && python=$$candidate; \
done; \
if [ -z "$$python" ] && ! command -v python3 >/dev/null; then \
  echo "sailplane: there is no Python here; expected 3.11 to 3.14. Install one, for example with" \
    "\`apt-get install python3 python3-venv\`, and run make again." >&2; \
  exit 1; \
fi; \
$${python:-python3} -I plugins/sailplane/bootstrap.py $(1)
endef

.PHONY: help up down status test fast lint types format bench soak states pictures lock clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## install, start the services, run the main DAG, show what came out
	$(call bootstrap)
	@$(VENV)/sailplane up

down: ## stop what `make up` started
	@if [ -x $(VENV)/sailplane ]; then $(VENV)/sailplane down; else echo "Nothing is installed, so nothing is running."; fi

status: ## every service and every served model
	$(call bootstrap)
	@$(VENV)/sailplane status

test: ## lint, types, import contracts, all tests
	$(call bootstrap,test)
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types & types=$$!; \
	$(VENV)/pytest --durations=10 $(ONE_BY_ONE); first=$$?; \
	wait $$types || exit 1; \
	$(VENV)/pytest --durations=10 $(ON_EVERY_CORE) $(SIDE_BY_SIDE) && exit $$first

fast: ## lint and unit tests, within a minute
	$(call bootstrap,test)
	@$(MAKE) --no-print-directory lint
	@$(VENV)/pytest -n logical --dist worksteal tests/unit

lint:
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .

types:
	@$(VENV)/mypy
	@$(VENV)/lint-imports

format: ## format the code and mend what ruff can mend
	$(call bootstrap,test)
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .

bench: ## measure; BENCH=name for one, JSON=file for a row an object
	$(call bootstrap,test)
	@$(VENV)/python tests/benchmarks/run.py $(BENCH) $(if $(JSON),--json $(JSON))

soak: ## simulations behind the figures in the guides, and other long tests: hours; SOAK=name for one
	$(call bootstrap,test)
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(VENV)/pytest -n logical --dist worksteal $(if $(SOAK),tests/soak/test_$(SOAK).py,tests/soak)
	@$(if $(SOAK),,LONG=1 $(VENV)/pytest tests/integration/sweeps/test_kills.py tests/end_to_end/test_sweep_kills.py \
	  tests/end_to_end/test_flights.py)
	@$(if $(SOAK),,$(MAKE) --no-print-directory states STEPS=20000)

states: ## random user actions and faults; STEPS=20000 for a long run, SEED=2 for others
	$(call bootstrap,test)
	@STEPS=$(or $(STEPS),500) SEED=$(or $(SEED),1) $(VENV)/pytest -q -n logical tests/states

pictures: ## take the README's pictures again, from a run in this checkout (needs chromium)
	$(call bootstrap,test)
	@$(VENV)/python tests/browser/pictures.py

lock: ## pin every package again (needs uv)
	@env -u PIP_FIND_LINKS uv pip compile pyproject.toml --extra test --universal \
	  --python-version 3.11 --no-annotate --no-header -q -o constraints.txt

clean: down ## remove .venv and the caches; what was trained (.sailplane) stays
	@rm -rf .venv .venv-install.log .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
