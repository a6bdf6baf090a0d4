# One-line calls. The first one sets up what it needs and says so; the next finds it there.
#   make wheels            wheels of crate/ into dist/, for every Python and architecture
#   make test              what CI runs: lint, types, import rules, and every test but the long
#   make test-all          the long tests too
#   make develop           crate/ into .venv, to work on it (develop-release: optimized)
#   make schema            docs/farm.schema.json, after a change of the settings
#   make bench             the farm beside other ways; 150 minutes, goes on where it was ended
#   make bench-short       the bounds that fit into five minutes; fails where one is broken
#   make soak              200 jobs, a fifth of them sabotaged; at most 15 minutes
#   make clean             take away what all of these made in this clone
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: wheels test test-all lint schema setup develop develop-release bench bench-short \
  soak clean
.DELETE_ON_ERROR:

wheels: setup
	$(BIN)/farm build crate --out dist

test: setup lint
	$(BIN)/pytest -m "not slow"

test-all: setup lint
	$(BIN)/pytest

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

schema: $(READY)
	$(BIN)/python tools/schema.py

setup: $(READY)
	$(BIN)/farm doctor --fix

$(READY): pyproject.toml tools/constraints.txt tools/venv.py
	$(PYTHON) tools/venv.py .venv
	@touch $@

develop: $(READY)
	$(BIN)/python tools/develop.py

develop-release: $(READY)
	$(BIN)/python tools/develop.py --release

bench: setup
	$(BIN)/python bench/run.py

bench-short: setup
	$(BIN)/python bench/run.py --form short

soak: setup
	$(BIN)/python bench/soak.py

clean:
	rm -rf .venv .farm dist crate/target crate/dist bench/results .mypy_cache \
	  .pytest_cache .ruff_cache .import_linter_cache .hypothesis crate/python/*/*.so
	find farm tests tools bench crate -name __pycache__ -prune -exec rm -rf {} +
