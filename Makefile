# make run    set up and start a broker on 127.0.0.1:1883 with its data in ./data
# make test   everything that has to hold: format, lint, types, and the tests compiled and interpreted
# make help   the rest

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	command -v $$python >/dev/null 2>&1 && $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	&& { echo $$python; break; }; done)
DATA ?= ./data
ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
# What the checkers of the promise do, unless it is said otherwise.
SEEDS ?= fresh:1000
STEPS ?= 400
IMAGES ?= 10000
KILLS ?= 500
SECONDS ?= 600
MINUTES ?= 30
# Tests that run side by side.
JOBS ?= 2

# The compiled build, also for `make run`; and the same files interpreted.
VENV := .venv
PURE := .venv-pure

PIP := bin/python -m pip --disable-pip-version-check --quiet
SOURCES := pyproject.toml setup.py README.md LICENSE \
	$(shell find mombroker plugins storage -name '*.py' -o -name py.typed -o -path '*/page/page.*' -o -path '*/page/icon.svg' 2>/dev/null)
# Without build isolation the pinned tools of requirements/build.txt do the building. What an earlier build left in
# build/lib would be installed again, deleted modules too.
INSTALL := install --no-deps --no-build-isolation --force-reinstall .
FORGET := rm -rf build/lib build/lib.* build/bdist.*

# What the shell has on its import path is no part of a test.
unexport PYTHONPATH
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help run test lint format docs conformance proto lock clean python test-compiled test-interpreted bench \
	bench-setup reliability simulate powerloss torture fuzz soak faults

help:
	@echo 'make run                  start a broker; ARGS="--mqtt 127.0.0.1:1884" adds options, DATA=DIR moves its data'
	@echo 'make test                 format, lint, types, tests compiled and interpreted'
	@echo 'make test-compiled        only these tests; PYTEST_ARGS="tests/cli -x" narrows them down'
	@echo 'make test-interpreted     the same on the interpreted build'
	@echo 'make lint, make format    check; repair what can be repaired'
	@echo 'make bench-setup          install the brokers that make bench compares (the Debian packages as root only)'
	@echo 'make bench                measure and write docs/performance.md; BENCH_ARGS="--quick" or other options do not'
	@echo 'make simulate             the broker in a simulated world; SEEDS=1-100 or 7 or fresh:1000, STEPS=400'
	@echo 'make powerloss            disks that a power cut may leave behind; IMAGES=10000'
	@echo 'make torture              real processes, killed and worse; KILLS=500'
	@echo 'make fuzz                 hostile bytes and clients; SECONDS=600 of CPU for each target'
	@echo 'make soak                 load for long, and far too much of it; MINUTES=30'
	@echo 'make faults               break the broker on purpose: which of the above notices'
	@echo 'make reliability          write docs/reliability.md from what they did with ARGS=--publish'
	@echo 'make docs                 write the generated parts of docs/ anew'
	@echo 'make proto                write the Python code of the gRPC API anew from mombroker/api/grpc/mombroker.proto'
	@echo 'make lock                 write requirements/ anew from the ranges in pyproject.toml'
	@echo 'make clean                remove what make has made; ./data stays'

run: $(VENV)/.installed
	$(VENV)/bin/mombroker serve --data $(DATA) $(ARGS)

test: lint test-compiled test-interpreted

lint: $(VENV)/.tools
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(VENV)/.tools
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# The script pytest, and not `python -m pytest`: that one would put the checkout before the installed package. A test
# in tests/packaging makes sure.
test-compiled: $(VENV)/.tools $(VENV)/.compiled
	EXPECT_COMPILED=1 $(VENV)/bin/pytest -n $(JOBS) $(PYTEST_ARGS)

test-interpreted: $(PURE)/.tools $(PURE)/.installed
	EXPECT_COMPILED=0 $(PURE)/bin/pytest -n $(JOBS) $(PYTEST_ARGS)

docs: conformance $(VENV)/.installed
	$(VENV)/bin/python -m mombroker.wiring.settings_page docs/configuration.md
	$(VENV)/bin/python tests/structure/native_tables.py

bench-setup: $(VENV)/.tools $(VENV)/.installed $(PURE)/.installed
	bench/setup.sh

# Only a whole run makes the page.
bench: $(VENV)/.tools $(VENV)/.installed $(PURE)/.installed
	$(VENV)/bin/python -m bench \
		$(or $(BENCH_ARGS),--json bench/results/latest.json --page docs/performance.md)

RELIABILITY := $(VENV)/bin/python tests/reliability

simulate: $(VENV)/.tools $(VENV)/.installed
	$(RELIABILITY) simulation --seeds $(SEEDS) --steps $(STEPS) --jobs $(JOBS) $(ARGS)

powerloss: $(VENV)/.tools $(VENV)/.installed
	$(RELIABILITY) powerloss --images $(IMAGES) $(ARGS)

torture: $(VENV)/.tools $(VENV)/.installed
	$(RELIABILITY) torture --kills $(KILLS) $(ARGS)

# Guided by what the inputs reach, which only the interpreted build can tell.
fuzz: $(PURE)/.fuzzer $(PURE)/.installed
	$(PURE)/bin/python tests/reliability fuzzing --seconds $(SECONDS) --jobs $(JOBS) $(ARGS)

soak: $(VENV)/.tools $(VENV)/.installed
	$(RELIABILITY) soak --minutes $(MINUTES) $(ARGS)

faults: $(VENV)/.tools $(VENV)/.installed
	$(RELIABILITY) faults $(ARGS)

reliability: $(VENV)/.tools $(VENV)/.installed
	$(RELIABILITY) page docs/reliability.md

conformance: $(VENV)/.made
	$(VENV)/bin/python tests/conformance_page.py docs/conformance.md

# Committed, so that installing needs no compiler; a test makes sure that it is up to date.
proto: $(VENV)/.tools
	$(VENV)/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. \
		mombroker/api/grpc/mombroker.proto

lock: $(VENV)/.made
	$(VENV)/bin/python requirements/lock.py

clean:
	rm -rf $(VENV) $(PURE) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find mombroker plugins storage tests -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@echo $(PYTHON)

$(VENV)/.made $(PURE)/.made:
	@test -n '$(PYTHON)' || { \
		echo 'mombroker needs Python 3.11 or newer, and none was found; on Debian: apt-get install python3'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv --clear $(@D)
	@touch $@

$(VENV)/.needs $(PURE)/.needs: %/.needs: %/.made requirements/run.txt requirements/build.txt
	$(@D)/$(PIP) install -r requirements/run.txt -r requirements/build.txt
	@touch $@

$(VENV)/.tools $(PURE)/.tools: %/.tools: %/.needs requirements/test.txt requirements/bench.txt
	$(@D)/$(PIP) install -r requirements/bench.txt
	@touch $@

$(PURE)/.fuzzer: $(PURE)/.tools requirements/fuzz.txt
	$(PURE)/$(PIP) install -r requirements/fuzz.txt
	@touch $@

# Compiled where there is a C compiler, otherwise interpreted.
$(VENV)/.installed: $(VENV)/.needs $(SOURCES)
	@$(FORGET)
	$(VENV)/$(PIP) $(INSTALL)
	@touch $@

# Compiled, or an error.
$(VENV)/.compiled: $(VENV)/.needs $(SOURCES)
	@$(FORGET)
	MOMBROKER_COMPILE=1 $(VENV)/$(PIP) $(INSTALL)
	@touch $@ $(VENV)/.installed

$(PURE)/.installed: $(PURE)/.needs $(SOURCES)
	@$(FORGET)
	MOMBROKER_COMPILE=0 $(PURE)/$(PIP) $(INSTALL)
	@touch $@
