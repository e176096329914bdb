# Three targets, one .venv. On a fresh machine each makes the .venv with plain pip; later it is installed again only
# when pyproject.toml changed.
#
#     make demo      distil scikit-learn's digits on the CPU, at 1 and at 10 pictures per class
#     make test      run the tests
#     make check     formatting, lint, types
#
# Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check install
.DEFAULT_GOAL := demo

demo: $(INSTALLED)
	$(BIN)/gendistill run demo ipc=1 --out runs/demo-ipc1 --overwrite
	$(BIN)/gendistill run demo ipc=10 protocol.sets=3 --out runs/demo-ipc10 --overwrite
	@echo
	@echo "Open these two in a browser:"
	@echo "  runs/demo-ipc1/report.html"
	@echo "  runs/demo-ipc10/report.html"

test: $(INSTALLED)
	$(BIN)/python -m pytest -q

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

install: $(INSTALLED)

# The stamp is written last: an installation that was interrupted is done again.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("gendistill needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,dev]"
	@touch $@
