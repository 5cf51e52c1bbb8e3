"""HashingModule: a fit, its checkpoint, its validation figure, on one process and on two."""

from pathlib import Path

import pytest
import torch
from lightning import Callback, seed_everything
from safetensors.torch import save_file
from torch import nn

import train
from lightning_modules.augmentation import Augmentation
from lightning_modules.hashing import DPSHLoss, HashingModule, TimmBackbone
from tests.hashing.random_data import Flat, RandomData, make_trainer

CONF = Path(__file__).parents[1] / "conf"
BITS = 8


def make_module(**options):
    torch.manual_seed(0)
    options = {"image": Flat(), "loss": DPSHLoss(), "num_bits": BITS, "batch_norm": True} | options
    return HashingModule(**options)


def expected_map(module, database, queries):
    """Mean over queries of the expectation, over random orders of tied items, of the average precision."""
    distances = (module.encode(queries.image)[:, None] != module.encode(database.image)[None]).sum(2)
    scores = []
    for row, label in zip(distances.tolist(), queries.label, strict=True):
        relevant = [bool((label & other).any()) for other in database.label]
        total = 0.0
        for distance in set(row):
            before = [hit for d, hit in zip(row, relevant, strict=True) if d < distance]
            here = [hit for d, hit in zip(row, relevant, strict=True) if d == distance]
            size, hits = len(here), sum(here)
            for place in range(1, size + 1):  # a hit is at each place of its group with the same probability
                others = (place - 1) * (hits - 1) / max(size - 1, 1)
                total += hits / size * (sum(before) + 1 + others) / (len(before) + place)
        scores.append(total / max(sum(relevant), 1))
    return sum(scores) / len(scores)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    module, data = make_module(), RandomData()
    trainer = make_trainer(folder)
    trainer.fit(module, data)
    trainer.save_checkpoint(folder / "last.ckpt")
    return module, folder / "last.ckpt", data


IMAGES = torch.rand(30, 3, 2, 2, generator=torch.Generator().manual_seed(9))


def test_a_checkpoint_alone_gives_the_same_codes(trained):
    module, path, data = trained
    loaded = HashingModule.load_from_checkpoint(path, weights_only=True)
    codes = module.encode(IMAGES)
    assert codes.dtype == torch.int8
    assert codes.shape == (30, BITS)
    assert set(codes.unique().tolist()) == {-1, 1}
    assert torch.equal(loaded.encode(IMAGES), codes)
    assert torch.equal(loaded.loss.memory.codes, module.loss.memory.codes)
    assert torch.equal(loaded.loss.memory.labels, data.labels("train"))
    assert loaded.facts == {
        "num_train": 13,
        "num_classes": 3,
        "class_names": ["class 0", "class 1", "class 2"],
        "dataset": "random",
        "fingerprint": data.fingerprint,
    }


def test_a_checkpoint_of_the_command_line_gives_the_same_codes(tmp_path):
    files = [CONF / "tiny-hasher.yaml", CONF / "tiny-data.yaml"]
    module = train.main([part for file in files for part in ("--config", str(file))], run=False).model
    trainer = make_trainer(tmp_path)
    trainer.fit(module, RandomData(size=16))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = HashingModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    images = torch.rand(30, 3, 16, 16, generator=torch.Generator().manual_seed(9))
    assert torch.equal(loaded.encode(images), module.encode(images))
    assert loaded.hparams["image"]["class_path"].endswith("TimmBackbone")


def test_every_code_was_written_to_the_memory(trained):
    module, _, _ = trained
    assert module.loss.memory.codes.abs().sum(1).min() > 0


def test_a_checkpoint_needs_no_pretrained_weights(tmp_path):
    tiny = {"name": "resnet18", "small_input": True, "model_args": {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 4]}}
    file = tmp_path / "weights.safetensors"
    save_file(TimmBackbone(**tiny).body.state_dict(), file)
    module = make_module(image=TimmBackbone(**tiny, weights=str(file), normalize="imagenet"))
    trainer = make_trainer(tmp_path)
    trainer.fit(module, RandomData(size=16))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    file.unlink()
    loaded = HashingModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    images = torch.rand(30, 3, 16, 16)
    assert torch.equal(loaded.encode(images), module.encode(images))


def test_options_survive_a_checkpoint(tmp_path):
    module = make_module(
        loss=DPSHLoss(eta=3.0, quantisation_by_n=False), batch_norm=False, augmentation=Augmentation(flip=0.5)
    )
    trainer = make_trainer(tmp_path, limit_val_batches=0)
    trainer.fit(module, RandomData())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = HashingModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert (loaded.loss.eta, loaded.loss.quantisation_by_n) == (3.0, False)
    assert isinstance(loaded.image_encoder.norm, nn.Identity)
    assert loaded.augmentation.flip == 0.5


def test_weights_of_another_bit_length_are_refused(trained):
    _, path, _ = trained
    with pytest.raises(ValueError, match="the checkpoint has 8 bits, this module 16"):
        HashingModule.load_from_checkpoint(path, weights_only=True, num_bits=16)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"num_classes": 5}, "num_classes=3, the data has 5"),
        ({"num_train": 12}, "num_train=13, the data has 12"),
        ({"seed": 1}, "fingerprint=0-13-3, the data has 1-13-3"),
    ],
)
def test_training_does_not_go_on_with_other_data(trained, tmp_path, other, message):
    _, path, _ = trained
    with pytest.raises(ValueError, match=message):
        make_trainer(tmp_path, max_epochs=2).fit(make_module(), RandomData(**other), ckpt_path=path)


def test_training_goes_on_with_the_same_data(trained, tmp_path):
    _, path, data = trained
    module = make_module()
    trainer = make_trainer(tmp_path, max_epochs=2)
    trainer.fit(module, data, ckpt_path=path, weights_only=True)
    assert trainer.current_epoch == 2


def test_a_loaded_module_trains_on_new_data_with_a_new_memory(trained, tmp_path):
    _, path, _ = trained
    module, data = HashingModule.load_from_checkpoint(path, weights_only=True), RandomData(seed=1, num_train=9)
    make_trainer(tmp_path).fit(module, data)
    assert torch.equal(module.loss.memory.labels, data.labels("train"))
    assert module.facts["num_train"] == 9


def test_a_foreign_checkpoint_is_refused(trained, tmp_path):
    _, path, _ = trained
    stored = torch.load(path, weights_only=True)
    del stored["retpur_training_facts"]
    torch.save(stored, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="not written by HashingModule"):
        HashingModule.load_from_checkpoint(tmp_path / "other.ckpt", weights_only=True)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 3, 2, 2), torch.nan), "NaN"),
        (torch.full((1, 3, 2, 2), 255.0), "255"),
        (torch.full((1, 3, 2, 2), -1.0), "expected \\[0, 1\\]"),
        (torch.zeros(3, 2, 2), r"shape \(3, 2, 2\)"),
        (torch.zeros(1, 1, 2, 2), r"shape \(1, 1, 2, 2\)"),
    ],
)
def test_encode_refuses_what_is_no_picture(trained, images, message):
    with pytest.raises(ValueError, match=message):
        trained[0].encode(images)


def test_encode_takes_bytes_as_shares_of_255(trained):
    images = torch.randint(0, 256, (5, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert trained[0].encode(images).equal(trained[0].encode(images.double().div(255).float()))


def test_encode_evaluates_and_restores_the_mode(trained):
    module, _, _ = trained
    whole = module.eval().encode(IMAGES)
    module.train()
    singly = torch.cat([module.encode(image[None]) for image in IMAGES])  # batch norm must not see the batch
    assert module.training
    assert torch.equal(singly, whole)
    assert torch.equal(module.encode(IMAGES.double()), whole)


class Watch(Callback):
    """Compares the logged figure of every validation with an independent one."""

    def __init__(self):
        self.seen = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            parts = trainer.datamodule.parts
            expected = expected_map(pl_module, parts["database"], parts["val"])
            self.seen.append((float(trainer.callback_metrics["val/map"]), expected))


def test_validation_logs_the_map_of_each_epoch(tmp_path):
    watch = Watch()
    make_trainer(tmp_path, max_epochs=3, callbacks=[watch]).fit(make_module(), RandomData())
    assert len(watch.seen) == 3
    for logged, expected in watch.seen:
        assert logged == pytest.approx(expected, abs=1e-12)
        assert 0 < logged < 1


def test_test_logs_the_map_of_the_queries(trained, tmp_path):
    module, path, data = trained
    trainer = make_trainer(tmp_path)
    trainer.test(make_module(), data, ckpt_path=path, weights_only=True, verbose=False)
    assert float(trainer.callback_metrics["test/map"]) == pytest.approx(
        expected_map(module, data.parts["database"], data.parts["query"])
    )


def test_predict_gives_ids_and_codes(trained, tmp_path):
    module, _, data = trained
    parts = make_trainer(tmp_path).predict(module, data)
    query = data.parts["query"]
    assert sum((part["ids"] for part in parts), ()) == query.ids
    assert torch.equal(torch.cat([part["codes"] for part in parts]), module.encode(query.image))


def test_the_default_optimiser_is_the_papers():
    (optimizer,), _ = make_module().configure_optimizers()
    assert isinstance(optimizer, torch.optim.SGD)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.05, 0, 1e-5)
    assert not group["nesterov"]


def test_a_schedule_is_stepped_once_per_epoch(tmp_path):
    module = make_module(lr_scheduler=lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [1], 0.1))
    trainer = make_trainer(tmp_path, max_epochs=2, limit_val_batches=0)
    trainer.fit(module, RandomData())
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.005)


def test_training_lowers_the_loss(tmp_path):
    losses = []

    class Record(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            losses.append(float(trainer.callback_metrics["train/loss_epoch"]))

    module = make_module(optimizer=lambda p: torch.optim.Adam(p, 0.05))
    seed_everything(0, verbose=False)
    module.log = lambda name, value, **options: HashingModule.log(module, name, value, on_epoch=True, **options)
    make_trainer(tmp_path, max_epochs=8, limit_val_batches=0, callbacks=[Record()]).fit(module, RandomData())
    assert losses[-1] < 0.8 * losses[1]  # most of the memory is empty in the first epoch


class Keep(Callback):
    """Saves a checkpoint from the processes, which end with the fit."""

    def on_train_end(self, trainer, pl_module):
        trainer.save_checkpoint(f"{trainer.default_root_dir}/last.ckpt")


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_count_every_sample_once(tmp_path):
    """13 training items, 21 of the database and 5 queries on two processes: samplers repeat one of each."""
    module, data = make_module(), RandomData()
    trainer = make_trainer(tmp_path, max_epochs=2, strategy="ddp_spawn", devices=2, callbacks=[Keep()])
    trainer.fit(module, data)
    module = HashingModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    logged = float(trainer.callback_metrics["val/map"])
    assert logged == pytest.approx(expected_map(module, data.parts["database"], data.parts["val"]), abs=1e-12)
    assert module.loss.memory.codes.abs().sum(1).min() > 0  # rows of both processes
