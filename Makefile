# Every target sets up .venv by itself and may be repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := runs/demo

.PHONY: setup demo test test-all lint bench clean

setup: $(READY)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -q

test-all: lint
	$(BIN)/python -m pytest -q -m 'slow or not slow'

bench: $(READY)
	$(BIN)/python -m benchmarks

# Train a hashing network and a small DDPM on generated scenes, attack, purify, score; about a quarter of an
# hour on two cores. A killed demo goes on where it stopped, a finished one ends in seconds.
demo: $(DEMO)/hasher/done $(DEMO)/ddpm/model_index.json
	$(BIN)/python evaluate.py --config configs/evaluation/demo.yaml

$(DEMO)/hasher/done: $(READY)
	$(BIN)/python train.py fit --config configs/trainer/default.yaml --config configs/data/scenes.yaml \
	    --config configs/hashing/dpsh.yaml --config configs/tuned/small-resnet.yaml \
	    --config configs/tuned/demo-hasher.yaml
	touch $@

$(DEMO)/ddpm/model_index.json: $(READY)
	$(BIN)/python train.py fit --config configs/trainer/default.yaml --config configs/data/scenes.yaml \
	    --config configs/purification/ddpm-small.yaml --config configs/tuned/demo-ddpm.yaml

clean:
	rm -rf runs data .pytest_cache .mypy_cache .ruff_cache
