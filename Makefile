# Each of these works from a bare checkout with Python 3.11 or newer, and may be run again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
N ?= 50000
# One more than there are cores: many tests wait for a server, and not for the processor.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.PHONY: help demo test check lint bench million microseconds soak docs lock clean

help:
	@echo "make demo    watch a campaign go out, come back and add up (nothing leaves this machine)"
	@echo "make test    run the tests"
	@echo "make check   ruff, format, mypy, and the tests"
	@echo "make bench   measure beside nodemailer and Postfix (N=5000 for a short run)"
	@echo "make million measure a million recipients, killed and resumed (N=20000)"
	@echo "make microseconds  measure where a message's time goes (N=2000)"
	@echo "make soak    a receiver in every bad mood, and send killed 100 times (N=3000 KILLS=8 VIA=direct)"
	@echo "make docs    write docs/commands.md and docs/rules.md anew"
	@echo "make lock    pin the dependencies anew, with hashes"
	@echo "make clean   remove what these made"

# The two locks name every package with its version and hash; pip refuses anything else.
$(VENV)/run: requirements.lock pyproject.toml
	@echo "== making $(VENV) with the locked dependencies"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mailblast needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/run
	@echo "== adding what the tests need"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/run
	@rm -rf $(DEMO) && cp -r campaigns-example $(DEMO)
	@echo "== a copy of campaigns-example lies in $(DEMO)/; its mail goes to a practice Internet on loopback"
	@sh tests/demo.sh $(DEMO) $(abspath $(BIN))

test: $(VENV)/dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

# They share what the tests have: a private Postfix.
bench: $(VENV)/dev
	@PYTHONPATH=tests $(BIN)/python -m bench.versus $(N)

million: N = 1000000
million: $(VENV)/dev
	@PYTHONPATH=tests $(BIN)/python -m bench.million $(N)

microseconds: N = 20000
microseconds: $(VENV)/dev
	@PYTHONPATH=tests $(BIN)/python -m bench.microseconds $(N)

soak: N = 200000
soak: KILLS = 100
soak: VIA = relay
soak: $(VENV)/dev
	@$(BIN)/python tests/soak.py $(N) $(KILLS) $(VIA)

docs: $(VENV)/run
	$(BIN)/python docs/write_commands.py
	$(BIN)/python docs/write_rules.py

lock: $(VENV)/run
	$(BIN)/python -m pip install -qq pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header -o requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --extra dev -o requirements-dev.lock pyproject.toml

clean:
	rm -rf $(VENV) $(DEMO) .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
