# make demo    set up, upscale a drawing, show before and after, print the seconds
# make test    set up everything, editors included, and run every test
# make faults  five minutes of real clients and daemons while everything breaks, one thing a second
# make bench   how fast it is on this machine, beside others; writes bench/latest.json
# make fuzz    made-up input for everything that reads what comes from outside: FUZZ_SECONDS=20 each, or FUZZ_RUNS
PYTHON ?= python3
VENV := .venv
# Small pictures: two tests at a time with a thread each take a quarter of what one with all threads takes.
QUICK := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile
TWO := $(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile -m "not alone"
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo setup test lint unit editors faults bench fuzz images dist clean

demo: $(VENV)/.samovar
	$(VENV)/bin/python docs/demo.py demo

test: $(VENV)/.tests editors lint
	$(QUICK) tests/unit tests/contract
	$(TWO) tests/loopback tests/faults tests/fuzz tests/bench
	$(TWO) tests/editors
	$(VENV)/bin/python -m pytest -m alone tests/loopback tests/faults tests/editors

unit: $(VENV)/.tests
	$(QUICK) -m "not slow" tests/unit tests/contract

lint: $(VENV)/.tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Real Krita, real GIMP 3. As root on Debian or Ubuntu this installs them; otherwise it says what is missing.
editors: $(VENV)/.tests
	$(VENV)/bin/python tests/editors/install.py

# SEED=4711 runs the same again, as far as the machine lets it.
faults: $(VENV)/.tests
	$(VENV)/bin/python -m tests.faults $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.bench
	$(VENV)/bin/samovar bench -o bench/latest.json

fuzz: $(VENV)/.fuzz
	FUZZ_SECONDS="$(FUZZ_SECONDS)" FUZZ_RUNS="$(FUZZ_RUNS)" $(VENV)/bin/python tests/fuzz/run.py $(FUZZ_TARGETS)

# The pictures of the README, from the real program and the real editors.
images: $(VENV)/.tests editors
	$(VENV)/bin/python docs/demo.py demo
	cp demo/before-after.png docs/images/before-after.png
	$(VENV)/bin/python tests/editors/krita/screenshot.py
	$(VENV)/bin/python tests/editors/gimp/screenshot.py

dist: $(VENV)/.tests
	$(VENV)/bin/python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	$(VENV)/bin/python -m samovar.install.archive dist

setup: $(VENV)/.samovar

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Samovar needs Python 3.10 or newer; set PYTHON=python3.x" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No virtual environments here: apt install python3-venv" >&2; exit 1; }

$(VENV)/.samovar: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.tests: $(VENV)/.samovar
	$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.samovar
	$(PIP) --editable '.[bench]'
	@touch $@

# Not part of dev: there are wheels for Linux and macOS, and Python 3.11 to 3.13.
$(VENV)/.fuzz: $(VENV)/.tests
	$(PIP) --editable '.[fuzz]'
	@touch $@

clean:
	rm -rf $(VENV) demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
