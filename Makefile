# The tasks of this project. Each makes its own virtual environment in .venv first, if it is missing or outdated.
#
#   make demo     the sample campaign from end to end, on this computer only
#   make test     all tests; make test ARGS="-k settings" some of them
#   make thorough   the tests that take minutes: seeded bugs, every fault at every place
#   make check    style and types
#   make faults   kill it, starve it, deceive it, some minutes long; ARGS="--seed 7 --only silent" some of it again
#   make faults-long   the same with a thousand kills and more, half an hour long; writes tests/faults/RESULTS.md
#   make bench    how fast it is, beside its peers, some twenty minutes long; ARGS="--quick" everything small; writes benchmarks/RESULTS.md and CAPACITY.md
#   make pictures  take the pictures of the page that the README shows anew; needs Chromium
#   make screens   take pictures of every screen, wide and narrow, light and dark, into screens/; needs Chromium
#   make lock     pin the newest versions of all libraries in requirements.txt
#   make clean    remove what can be made again; never a ledger or a list

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PYTHON := $(BIN)/python

# The user's pip settings say where packages come from, and stay. These would break an install into .venv.
unexport PYTHONHOME PYTHONPATH
# Tests start the program some hundred times: compiled anew at each start, it takes up to a fifth longer.
unexport PYTHONDONTWRITEBYTECODE
export PIP_CONSTRAINT :=
export PIP_PREFIX :=
export PIP_ROOT :=
export PIP_TARGET :=
export PIP_USER := 0
export PIP_REQUIRE_VIRTUALENV := 0
export PIP_REQUIRE_HASHES := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test thorough pictures screens check faults faults-long bench lock clean

help:
	@sed -n 's/^#   //p' Makefile

demo: .venv/installed
	@$(PYTHON) -m mailer demo $(ARGS)

# Many tests wait for servers, so that four at a time are quicker than two even on two cores.
test: .venv/installed
	$(PYTHON) -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not alone and not thorough" $(ARGS)
	$(PYTHON) -m pytest -m "alone and not thorough" $(ARGS) || [ $$? -eq 5 ]

# What takes minutes: bugs put into the ledger on purpose, each of which its model must notice; every fault at every place of a
# dialogue; a trial of each family of faults; each property with all of its examples, of which make test tries an eighth.
thorough: export EXAMPLES := all
thorough: .venv/installed
	$(PYTHON) -m pytest -n 3 --dist worksteal -m "(thorough or hypothesis) and not alone" $(ARGS)
	$(PYTHON) -m pytest -m "(thorough or hypothesis) and alone" $(ARGS) || [ $$? -eq 5 ]

# What the README shows of the page, as its test sees it.
pictures: .venv/installed
	PICTURES=1 $(PYTHON) -m pytest -q tests/test_web_journey.py tests/test_web_watching.py -k "upload or plain_words"

# To look through: whether every screen is calm, legible, and like the others.
screens: .venv/installed
	$(PYTHON) tests/screens.py screens $(ARGS)

check: .venv/installed
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict

faults: .venv/installed
	$(PYTHON) -m tests.faults $(ARGS)

faults-long: .venv/installed
	$(PYTHON) -m tests.faults --long --write tests/faults/RESULTS.md --readme README.md $(ARGS)
	MAILER_TEST_KILLS=50 $(PYTHON) -m pytest -q tests/test_resolve_by_log.py

# mailer comes from .venv, its peers from an environment of their own with the same Python.
bench: .venv/installed .bench-venv/installed
	$(PYTHON) -m benchmarks --write benchmarks/RESULTS.md --readme README.md $(ARGS)

.bench-venv/installed: benchmarks/requirements.txt .venv/installed
	$(PYTHON) -m venv --clear .bench-venv
	$(subst .venv,.bench-venv,$(PYTHON)) -m pip install --quiet --require-hashes -r benchmarks/requirements.txt
	@touch $@

# The first Python that is new enough and can make virtual environments (Debian ships some without).
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.venv/installed: requirements.txt pyproject.toml
	@if ! $(PYTHON) -c '$(SUITABLE)' 2>/dev/null; then \
		for python in python3.13 python3.12 python3.11 python3 python; do \
			if $$python -c '$(SUITABLE)' 2>/dev/null; then \
				echo "$$python -m venv .venv"; exec $$python -m venv --clear .venv; \
			fi; \
		done; \
		echo "No Python 3.11 or newer was found (on Debian and Ubuntu: apt install python3 python3-venv)." >&2; exit 1; \
	fi
	$(PYTHON) -m pip install --quiet --require-hashes -r requirements.txt
	$(PYTHON) -m pip install --quiet --no-deps -e .
	@touch $@

lock: .venv/installed
	$(PYTHON) -m venv .venv/lock
	.venv/lock/$(notdir $(BIN))/python -m pip install --quiet uv
	.venv/lock/$(notdir $(BIN))/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--all-extras --generate-hashes --no-header --no-emit-index-url --output-file requirements.txt pyproject.toml

clean:
	rm -rf .venv .bench-venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist demo
	find mailer tests -name __pycache__ -type d -prune -exec rm -rf {} +
