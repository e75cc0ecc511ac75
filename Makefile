# make run      the whole platform on this machine (first start about a minute, then seconds)
# make test     all tests · make check: lint, types, layers, catalogues · make bench: the benchmark table
# The distribution's Python is built with optimisations; one compiled without them takes half as long again for everything.
PYTHON ?= $(shell /usr/bin/python3.11 -c "import ensurepip" 2>/dev/null && echo /usr/bin/python3.11 \
	|| command -v python3.11 || command -v python3)
PY := .venv/bin/python

.PHONY: setup run test check bench messages demo-alarm demo-recover otp manage clean

setup:
	@$(PYTHON) scripts/bootstrap.py

run: setup
	@$(PY) -m rdmp.launch

test:
	@$(PYTHON) scripts/bootstrap.py --test
	@$(PY) scripts/run_tests.py

check: setup
	@$(PY) scripts/check.py

bench: setup
	@for file in benchmarks/[a-z]*.py; do $(PY) -m "benchmarks.$$(basename $$file .py)" || exit 1; done

# A real alarm on the running platform, its recovery, and the demo people's one-time codes for signing in.
demo-alarm demo-recover otp: setup
	@$(PY) -m rdmp.launch manage $(subst -,_,$@)

# Any management command inside this installation: make manage CMD="audit verify"
manage: setup
	@$(PY) -m rdmp.launch manage $(CMD)

# Brings the catalogues up to date with the sources; then fill in what is new in locale/*/LC_MESSAGES/*.po.
messages: setup
	@$(PY) scripts/check_messages.py --write

# Everything that set-up and runs have made, the data in .rdmp included.
clean:
	@$(PYTHON) scripts/clean.py
