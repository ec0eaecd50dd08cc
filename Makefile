# `make demo` runs the main job, `make test` the tests; both set up a virtual environment first where there is none.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test mutants lint types docs format clean

demo: $(READY)
	$(BIN)/python -m benchmarks.simulated_online --agents irecgan pg --logging-policy max --sessions 1000 --seeds 2 \
		--preset fast --out runs/demo --show-slate

test: $(READY)
	$(BIN)/python -m pytest -n 2

# Small changes to the code, and whether tests notice them. Takes hours for all; `make mutants FOLDER=planning SAMPLE=200`.
mutants: $(READY)
	$(BIN)/python -m tests.mutation $(FOLDER) $(if $(SAMPLE),--sample $(SAMPLE))

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy looks for packages by their folders: it is shown the tree that is installed, in links.
types: $(READY)
	rm -rf build/types && mkdir -p build/types/irecgan_gym
	ln -s $(CURDIR)/irecgan_gym/* $(CURDIR)/agents $(CURDIR)/benchmarks build/types/irecgan_gym/
	cd build/types && ../../$(BIN)/python -m mypy --config-file ../../pyproject.toml -p irecgan_gym

# Warnings are errors. What an earlier build has generated goes first, so that pages of what is gone go too.
docs: $(READY)
	rm -rf docs/_build docs/generated docs/api/generated
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# torch comes first and pinned: an unpinned torch may bring gigabytes of CUDA packages.
$(READY): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) docs/_build docs/generated docs/api/generated .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
