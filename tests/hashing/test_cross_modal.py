"""HashingModule with an image and a text encoder: directions, frozen features, checkpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from datamodules.text import BagOfWords
from lightning_modules.augmentation import Augmentation
from lightning_modules.hashing import DCMHLoss, FrozenBackbone, HashingModule, TextMLP
from lightning_modules.hashing.directions import DirectionScores, check_directions, modalities
from lightning_modules.retrieval.metrics import average_precisions
from lightning_modules.types import Batch, binarize
from tests.conftest import fit, open_tiny_data
from tests.hashing.random_data import Flat, RandomData, make_trainer


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("cross")
    cli = fit("tiny-cross.yaml", root=root, run="dcmh", extra=("--model.init_args.loss=DCMHLoss",))
    return cli, root / "dcmh/checkpoints/last.ckpt"


def codes_of(module, loader):
    """Codes by modality from pictures and texts, and labels."""
    codes: dict[str, list] = {"image": [], "text": []}
    labels = []
    for batch in loader:
        codes["image"].append(module.encode(batch.image))
        codes["text"].append(module.encode_text(batch.text))
        labels.append(batch.label)
    return {name: torch.cat(parts) for name, parts in codes.items()}, torch.cat(labels)


def test_validation_logs_every_direction(trained):
    """From features while training; recomputed here from pictures by the loaded checkpoint."""
    cli, path = trained
    module = HashingModule.load_from_checkpoint(path, weights_only=True)
    data = open_tiny_data(cli.datamodule.cache_dir, BagOfWords())
    assert next(iter(data.val_dataloader()[0])).features is None
    assert next(iter(cli.datamodule.val_dataloader()[0])).features is not None
    (database, labels), (queries, query_labels) = (codes_of(module, loader) for loader in data.val_dataloader())
    found = cli.trainer.callback_metrics
    for direction in ("I2I", "I2T", "T2I", "T2T"):
        asking, ranked = modalities(direction)
        values = average_precisions(queries[asking], query_labels, database[ranked], labels)
        assert float(found[f"val/map_{direction.lower()}"]) == pytest.approx(float(values.nan_to_num(0).mean()))
    assert float(found["val/map"]) == pytest.approx(float(found["val/map_i2t"] + found["val/map_t2i"]) / 2)


def test_training_changes_both_heads_and_no_extractor(trained):
    cli, _ = trained
    torch.manual_seed(0)
    before = {name: tensor.clone() for name, tensor in cli.model.state_dict().items()}
    trainer = make_trainer(cli.trainer.default_root_dir, limit_val_batches=0)
    trainer.fit(cli.model, cli.datamodule)
    changed = {name for name, tensor in cli.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {"encoders.image.backbone.head.0.weight", "encoders.text.backbone.body.0.weight"} <= changed
    assert not any("extractor" in name for name in changed)


def test_text_features_of_another_width_are_refused(trained):
    _, path = trained
    module = HashingModule.load_from_checkpoint(path, weights_only=True)
    with pytest.raises(ValueError, match="the network takes"):
        module.text_encoder.backbone.set_up(3)


def test_data_without_text_features_are_refused(tmp_path):
    module = HashingModule(image=Flat(), text=TextMLP([4]), loss=DCMHLoss(), num_bits=4)
    data = RandomData()
    data.text_width = None
    with pytest.raises(ValueError, match="a text encoder needs text features of random"):
        make_trainer(tmp_path).fit(module, data)


def test_kept_features_and_augmentation_do_not_go_together():
    with pytest.raises(ValueError, match="set cache_features to false"):
        HashingModule(image=FrozenBackbone(Flat(), []), loss=DCMHLoss(), augmentation=Augmentation(flip=0.5))


@pytest.mark.parametrize(
    ("directions", "encoders", "expected"),
    [
        (None, ["image"], ["I2I"]),
        (None, ["image", "text"], ["I2I", "I2T", "T2I", "T2T"]),
        (["T2I"], ["image", "text"], ["T2I"]),
    ],
)
def test_directions_default_to_what_there_is(directions, encoders, expected):
    assert check_directions(directions, encoders) == expected


@pytest.mark.parametrize(
    ("directions", "message"), [([], "at least one"), (["I2T"], "needs encoders"), (["I2X"], "expected one of I2I")]
)
def test_impossible_directions_are_refused(directions, message):
    with pytest.raises(ValueError, match=message):
        check_directions(directions, ["image"])


def random_batch(count, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, 3, generator=generator) < 0.5).to(torch.uint8)
    batch = Batch(torch.empty(count, 3, 0, 0), labels, torch.arange(count), tuple(map(str, range(count))))
    return batch, binarize(torch.randn(count, 6, generator=generator))


def test_equal_codes_of_both_modalities_score_alike_in_every_direction():
    scores = DirectionScores(["I2I", "I2T", "T2I", "T2T"])
    for role, seed, count in (("database", 0, 30), ("query", 1, 8)):
        batch, codes = random_batch(count, seed)
        for rows, part in batch.split(7):
            scores.add({"image": codes[rows], "text": codes[rows]}, part, role)
    values = [metric.compute().item() for metric in scores.values()]
    assert len(set(values)) == 1
    assert scores.selecting == ["I2T", "T2I"]


def test_a_direction_takes_queries_and_database_from_its_modalities():
    scores = DirectionScores(["I2T", "T2I"])
    parts = {role: random_batch(count, seed) for role, count, seed in (("database", 30, 0), ("query", 8, 1))}
    for role, (batch, codes) in parts.items():
        scores.add({"image": codes, "text": codes.flip(1)}, replace(batch), role)
    (database, codes), (query, asked) = parts["database"], parts["query"]
    expected = average_precisions(asked, query.label, codes.flip(1), database.label).nan_to_num(0).mean()
    assert scores["I2T"].compute().item() == pytest.approx(expected.item())
