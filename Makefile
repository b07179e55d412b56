# Two commands on a fresh machine: `make demo` and `make test`. The environment is made when it is missing.

PYTHON ?= python3
BIN := .venv/bin

# What other processors compute with, whichever this one is: one without AVX, one with AVX2 and no more.
SSE := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2
# The tests that compare numbers which a processor rounds: laws 1 and 2, and the formulas.
NUMERICAL := $(addprefix tests/,\
  conformance/test_fast_is_plain.py conformance/test_choices_are_alone.py conformance/test_every_family_is_measured.py \
  conformance/test_masked_is_pruned.py conformance/test_shared_is_alone.py unit/importance unit/model unit/losses \
  unit/evaluator unit/removal/test_compensation.py unit/removal/test_masking.py unit/searching/test_scale.py)

.PHONY: demo test test-all test-kernels test-transformers check clean

demo: .venv/installed
	$(BIN)/evop demo --out demo

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Those too that can only be slow; not those of hours, which are run by hand: -m long.
test-all: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not long and not gpu'

# On the kernels of other processors, with tolerances of half their size.
test-kernels: .venv/installed
	env EVOP_HEADROOM=2 $(SSE) $(BIN)/python -m pytest -n 2 --dist worksteal -k 'not bounds_change' $(NUMERICAL)
	env EVOP_HEADROOM=2 $(AVX2) $(BIN)/python -m pytest -n 2 --dist worksteal -k 'not bounds_change' $(NUMERICAL)

# What evop writes, loaded by the newest transformers that vLLM 0.33 takes, in an environment of its own without evop.
test-transformers: .venv/installed
	$(PYTHON) -m venv .venv-older
	.venv-older/bin/pip install --quiet torch 'transformers<5.21' accelerate
	env EVOP_OTHER_PYTHON=$(CURDIR)/.venv-older/bin/python $(BIN)/python -m pytest tests/conformance/test_fresh_process.py

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "evop needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-older demo build *.egg-info .pytest_cache .ruff_cache .mypy_cache
