# Every target sets up .venv by itself and may be repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := runs/demo

# glibc keeps what a training step frees for the next one, instead of asking the system for cleared pages each time.
export MALLOC_MMAP_MAX_ ?= 0
export MALLOC_TRIM_THRESHOLD_ ?= 17179869184

.PHONY: setup demo app cross cifar10 small test test-all lint bench clean

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
	$(BIN)/python -m pytest -q -n auto --dist loadfile

test-all: lint
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m 'slow or not slow'

bench: $(READY)
	$(BIN)/python -m benchmarks

# Train a hashing network and a small DDPM on generated scenes, attack, purify, score; a quarter of an
# hour on two cores. A killed demo goes on where it stopped, a finished one ends in seconds.
FIT := $(BIN)/python train.py fit --config configs/trainer/default.yaml
SCENES := $(FIT) --config configs/data/scenes.yaml
RESNET := --config configs/tuned/small-resnet.yaml
ONE_CALL := $(foreach part,finetune stored-pairs code-target,--config configs/purification/$(part).yaml)

demo: $(DEMO)/one-call/export/model_index.json
	$(BIN)/python evaluate.py --config configs/evaluation/demo.yaml

# The search page on the demo's networks and store: http://127.0.0.1:7860
app: $(DEMO)/one-call/export/model_index.json
	$(BIN)/python -m app --config configs/evaluation/demo.yaml

$(DEMO)/backbone.safetensors: | $(READY)
	$(SCENES) --config configs/hashing/pretraining.yaml $(RESNET) --config configs/tuned/demo-pretraining.yaml

$(DEMO)/hasher/done: $(DEMO)/backbone.safetensors
	$(SCENES) --config configs/hashing/dpsh.yaml $(RESNET) --config configs/tuned/demo-hasher.yaml
	touch $@

$(DEMO)/ddpm/model_index.json: | $(READY)
	$(SCENES) --config configs/purification/ddpm-small.yaml --config configs/tuned/demo-ddpm.yaml

$(DEMO)/pairs/results.json: $(DEMO)/hasher/done
	$(BIN)/python evaluate.py --config configs/evaluation/demo-pairs.yaml

$(DEMO)/one-call/export/model_index.json: $(DEMO)/ddpm/model_index.json $(DEMO)/pairs/results.json
	$(SCENES) $(ONE_CALL) --config configs/tuned/demo-one-call.yaml

# The same line on photographs: CIFAR-10 from the Hub and ImageNet weights from the Hub, or
# make cifar10 CIFAR10=FOLDER of its parquet files, WEIGHTS=FILE of timm's tf_efficientnet_lite0 (safetensors).
CIFAR10 ?= uoft-cs/cifar10
WEIGHTS ?=
PHOTOS := runs/cifar10
CIFAR := $(FIT) --config configs/data/cifar10.yaml --data.init_args.path $(CIFAR10)
IMAGE := --model.init_args.image.init_args
LOCAL := $(if $(WEIGHTS),$(IMAGE).weights $(WEIGHTS) $(IMAGE).pretrained false)

cifar10: $(PHOTOS)/one-call-mean/model_index.json
	$(BIN)/python evaluate.py --config configs/evaluation/cifar10-steps.yaml --datasets.cifar10.init_args.path $(CIFAR10)
	$(BIN)/python evaluate.py --config configs/evaluation/cifar10.yaml --datasets.cifar10.init_args.path $(CIFAR10)

$(PHOTOS)/hasher/done: | $(READY)
	$(CIFAR) --config configs/hashing/dpsh.yaml --config configs/tuned/cifar10-dpsh.yaml $(LOCAL)
	touch $@

$(PHOTOS)/ddpm/model_index.json: | $(READY)
	$(CIFAR) --config configs/purification/ddpm-small.yaml --config configs/tuned/cifar10-ddpm.yaml

$(PHOTOS)/pairs/results.json $(PHOTOS)/unseen-pairs/results.json: $(PHOTOS)/%/results.json: $(PHOTOS)/hasher/done
	$(BIN)/python evaluate.py --config configs/evaluation/cifar10-$*.yaml --datasets.cifar10.init_args.path $(CIFAR10)

# A purifier of one call three times, with another seed and with other items, and the mean of their weights.
EXPORT := export/model_index.json
SEEN := $(PHOTOS)/ddpm/model_index.json $(PHOTOS)/pairs/results.json
UNSEEN := $(PHOTOS)/ddpm/model_index.json $(PHOTOS)/unseen-pairs/results.json

$(PHOTOS)/one-call/$(EXPORT): $(SEEN)
	$(CIFAR) $(ONE_CALL) --config configs/tuned/cifar10-one-call.yaml

$(PHOTOS)/one-call-again/$(EXPORT): $(SEEN)
	$(CIFAR) $(ONE_CALL) --config configs/tuned/cifar10-one-call.yaml \
	    --seed_everything 1 --trainer.logger.init_args.save_dir $(PHOTOS)/one-call-again

$(PHOTOS)/one-call-unseen/$(EXPORT): $(UNSEEN)
	$(CIFAR) $(ONE_CALL) --config configs/tuned/cifar10-one-call.yaml --config configs/tuned/cifar10-one-call-unseen.yaml

$(PHOTOS)/one-call-mean/model_index.json: $(foreach n,one-call one-call-again one-call-unseen,$(PHOTOS)/$(n)/$(EXPORT))
	$(BIN)/python -m lightning_modules.purification.average $(^D) --out $(@D)

# Every hashing method on CIFAR-10 at 32 px without outside weights: a small backbone trained as a classifier, then the
# methods from it (CIBHash, which is to see no labels, from nothing), then the table.
SMALL := runs/cifar10-small
METHODS := dpsh dph_l2 dph_priority dsh hashnet csq orthohash greedyhash
LENGTHS := $(foreach m,dpsh dph_l2 csq,$(m)-16 $(m)-64)
method = $(CIFAR) --config configs/hashing/$(1).yaml $(RESNET) --config configs/tuned/cifar10-small.yaml \
    --trainer.logger.init_args.save_dir $(@D)

small: $(foreach m,$(METHODS) $(LENGTHS) cibhash,$(SMALL)/$(m)/done)
	$(BIN)/python evaluate.py --config configs/evaluation/cifar10-small-methods.yaml --datasets.cifar10.init_args.path $(CIFAR10)

$(SMALL)/backbone.safetensors: | $(READY)
	$(CIFAR) --config configs/hashing/pretraining.yaml $(RESNET) --config configs/tuned/cifar10-small-pretraining.yaml

$(METHODS:%=$(SMALL)/%/done): $(SMALL)/%/done: $(SMALL)/backbone.safetensors
	$(call method,$*)
	touch $@

$(LENGTHS:%=$(SMALL)/%/done): $(SMALL)/%/done: $(SMALL)/backbone.safetensors
	$(call method,$(firstword $(subst -, ,$*))) --model.init_args.num_bits $(lastword $(subst -, ,$*))
	touch $@

$(SMALL)/cibhash/done: | $(READY)
	$(call method,cibhash) $(IMAGE).weights null --model.init_args.augmentation null --trainer.max_epochs 8 \
	    --model.init_args.lr_scheduler.init_args.T_max 8 --trainer.check_val_every_n_epoch 8
	touch $@

# Images and texts in one Hamming space, on the scenes and their captions, after the demo.
CROSS := $(SCENES) --config configs/text/bag-of-words.yaml
TINY := --config configs/tuned/cross.yaml

cross: $(DEMO)/backbone.safetensors $(DEMO)/ddpm/model_index.json $(foreach m,dcmh dgcpn dadh ucch,runs/cross/$(m)/done)
	$(BIN)/python evaluate.py --config configs/evaluation/scenes-cross.yaml

runs/cross/%/done: $(DEMO)/backbone.safetensors
	$(CROSS) --config configs/cross/$*.yaml $(TINY) --config configs/tuned/cross-$*.yaml
	touch $@

clean:
	rm -rf runs data .pytest_cache .mypy_cache .ruff_cache
