# `make demo` runs the main job, `make test` the tests; both set up a virtual environment first where there is none.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-gpu coverage minimal lowest mutants fuzz processes rllib hashes hashed audit sbom lint types docs format clean

demo: $(READY)
	$(BIN)/python -m benchmarks.simulated_online --agents auto_planner irecgan pg --logging-policy max --sessions 1000 --seeds 2 \
		--preset fast --out runs/demo --show-slate

test: $(READY)
	$(BIN)/python -m pytest -n 2

# Lines and branches that no test runs, in the terminal and as pages: build/coverage/index.html.
coverage: $(READY)
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

# What an installation without extras can do; tests that need an extra are skipped.
minimal:
	$(PYTHON) -m venv build/minimal
	build/minimal/bin/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	build/minimal/bin/python -m pip install --quiet --constraint constraints.txt --editable . pytest hypothesis "setuptools>=77"
	build/minimal/bin/python -m pytest --ignore tests/benchmarks

# The same with the lowest versions that setup.cfg declares.
lowest:
	$(PYTHON) -m venv build/lowest
	$(PYTHON) -c "import configparser; setup = configparser.ConfigParser(); setup.read('setup.cfg'); \
		print(setup['options']['install_requires'].replace('>=', '=='))" > build/lowest/constraints.txt
	build/lowest/bin/python -m pip install --quiet --constraint build/lowest/constraints.txt --editable . pytest hypothesis "setuptools>=77"
	build/lowest/bin/python -m pytest --ignore tests/benchmarks

# On a machine with a CUDA device and a torch that was built for it; devices choose themselves there.
GPU_TESTS := tests/gpu tests/models tests/agents tests/wrappers tests/envs tests/sb3
test-gpu: $(READY)
	$(BIN)/python -c "import torch; assert torch.cuda.is_available(), 'no CUDA device, or a torch built without CUDA'"
	$(BIN)/python -m pytest -n 2 $(GPU_TESTS)

# Small changes to the code, and whether tests notice them. Takes hours for all; `make mutants FOLDER=planning SAMPLE=200`.
mutants: $(READY)
	$(BIN)/python -m tests.mutation $(FOLDER) $(if $(SAMPLE),--sample $(SAMPLE))

# Bad input by the thousand, and how each case ended: build/fuzz.md. `make fuzz CASES=100` for a quick look.
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --cases $(or $(CASES),800) --out build/fuzz.md

# Every env and wrapper in processes of Gymnasium's and Stable-Baselines3's vector envs, by every start method: minutes.
processes: $(READY)
	$(BIN)/python -m tests.start_methods --out build/processes.md

# The same under RLlib's env runners. Its release pins another Gymnasium, so that its own needs are put aside, without theirs.
rllib: $(READY)
	$(BIN)/python -m pip install --quiet --no-deps --target build/rllib \
		absl-py attrs dm-tree lz4 ormsgpack tensorboardX wrapt
	PYTHONPATH=build/rllib $(BIN)/python -m tests.rllib_workers

# The hashes of every file of every version in constraints.txt; after a change to it or to setup.cfg.
UV := build/tools/bin/uv
hashes: $(UV)
	$(UV) pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --constraint constraints.txt --extra dev setup.cfg --output-file hashes.txt

# An installation that takes no file of another content than those of hashes.txt; torch as PyPI has it, with CUDA.
hashed:
	$(PYTHON) -m venv build/hashed
	build/hashed/bin/python -m pip install --quiet --require-hashes --requirement hashes.txt
	build/hashed/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	build/hashed/bin/python -c "import irecgan_gym.agents"

# Known vulnerabilities of what is installed for development, but for those that CONTRIBUTING.md explains. Strictly: what
# could not be looked up, as where the database is out of reach, has not been audited.
audit: build/tools/bin/pip-audit
	build/tools/bin/pip-audit --strict --require-hashes --disable-pip --requirement hashes.txt

# The bill of materials (CycloneDX): every package that an installation for development has, with version and hashes.
sbom: build/tools/bin/pip-audit
	build/tools/bin/pip-audit --require-hashes --disable-pip --requirement hashes.txt --format cyclonedx-json \
		--output build/sbom.json || test -s build/sbom.json

build/tools/bin/%:
	test -x build/tools/bin/python || $(PYTHON) -m venv build/tools
	build/tools/bin/python -m pip install --quiet $*

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy looks for packages by their folders: it is shown the tree that is installed, in links.
types: $(READY)
	rm -rf build/types && mkdir -p build/types/irecgan_gym
	ln -s $(CURDIR)/irecgan_gym/* $(CURDIR)/agents $(CURDIR)/benchmarks build/types/irecgan_gym/
	cd build/types && ../../$(BIN)/python -m mypy --config-file ../../pyproject.toml -p irecgan_gym
	cd build/types && ../../$(BIN)/python -m mypy --strict ../../tests/user_program.py

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
