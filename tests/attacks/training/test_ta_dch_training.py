"""The two stages of TA-DCH."""

from __future__ import annotations

import pytest
import torch

from lightning_modules.attacks import TADCH, VictimFacts
from lightning_modules.attacks.folder import load_folder
from lightning_modules.attacks.networks import Prototype
from lightning_modules.attacks.training import ProSGANPrototype, TADCHPrototype
from tests.attacks.training.conftest import train_attack
from tests.conftest import Tiny

TEXT = ("--data.init_args.text=datamodules.text.BagOfWords", "--data.init_args.text.max_features=12")
SMALL = (*TEXT, "--model.init_args.hidden=8", "--model.init_args.labels_per_step=10")


@pytest.fixture(scope="module")
def first(tiny: Tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("ta-dch-prototype")
    cli = train_attack(tiny, "ta-dch-prototype", out, *SMALL)
    cli.trained_folder = out / "attack"
    return cli


@pytest.fixture(scope="module")
def second(tiny: Tiny, first, tmp_path_factory):
    out = tmp_path_factory.mktemp("ta-dch")
    flags = ("--model.init_args.channels=4", f"--model.init_args.prototype={first.trained_folder}")
    cli = train_attack(tiny, "ta-dch", out, *TEXT, *flags)
    cli.trained_folder = out / "attack"
    return cli


def test_label_and_text_are_of_the_same_item(first):
    items, (labels, texts) = first.datamodule.dataset("train"), first.model.table
    assert len(labels) == len(items) == 40
    for i in (0, 7, 39):
        assert torch.equal(items[i].label, labels[i])
        assert torch.equal(items[i].text, texts[i])


def test_an_epoch_sees_every_item_once(first):
    model = first.model
    epochs = [torch.cat([model.rows(4 * epoch + step) for step in range(4)]) for epoch in (0, 1)]
    assert all(sorted(rows.tolist()) == list(range(40)) for rows in epochs)
    assert not torch.equal(*epochs)


def test_the_published_weights_of_the_terms():
    generator = torch.Generator().manual_seed(0)
    code, told = torch.rand(2, 3, 4, generator=generator).unbind()
    labels, codes = torch.eye(4)[:3], torch.ones(5, 4)
    args = (Prototype(code, code, told), labels, codes, torch.ones(5, 4))
    plain, weighted = ProSGANPrototype(1.0, 1.0, 1.0)(*args), TADCHPrototype()(*args)
    for name, weight in (("similarity", 5), ("quantisation", 1e-3), ("classification", 1)):
        torch.testing.assert_close(weighted[name], weight * plain[name])


def test_the_folder_is_the_attack(tiny: Tiny, first, second):
    data, attack = tiny.open_data(), TADCH(str(second.trained_folder))
    attack.check(VictimFacts(8, tuple(data.class_names), 16))
    assert torch.equal(attack.labels, first.model.table[0])
    assert torch.equal(attack.texts, first.model.table[1])
    batch, target = next(iter(data.test_dataloader()[1])).to("cpu"), attack.labels[:7]
    goal = attack.aim(target, batch.ids, None, seed=0)
    model = second.model
    assert not model.prototype.training
    with torch.no_grad():
        made = model.generator(2 * batch.image - 1, model.prototype(target, goal.text).semantic)
    torch.testing.assert_close(attack(batch.image, goal, None), (made + 1) / 2)


def test_the_prototype_network_stays_as_it_came(first, second):
    """Its batch normalisation would drift in train mode."""
    _, before = load_folder(first.trained_folder, "TADCHPrototype")
    after = second.model.prototype.state_dict()
    assert all(torch.equal(before[f"prototype.{name}"], value) for name, value in after.items())


def test_codes_are_wanted_as_they_are_or_by_sign(second):
    code = torch.tensor([[-0.5, 0.0, 0.3]])
    assert torch.equal(second.model.wanted(code), code)
    second.model.binarize_prototype = True
    assert second.model.wanted(code).tolist() == [[-1, 1, 1]]


def test_scores_reach_the_metrics(first, second):
    assert "val/prototype_map" in first.trainer.callback_metrics
    assert second.trainer.callback_metrics.keys() >= {"val/map", "val/t_map", "val/rmse", "train/hashing"}


def test_data_without_texts_is_refused(tiny: Tiny, tmp_path):
    with pytest.raises(ValueError, match=r"set data\.init_args\.text"):
        train_attack(tiny, "ta-dch-prototype", tmp_path, "--model.init_args.hidden=8")


@pytest.mark.parametrize(("count", "message"), [(1, "at least 2"), (41, "there are 40 training items")])
def test_impossible_steps_are_refused(tiny: Tiny, tmp_path, count, message):
    with pytest.raises(ValueError, match=message):
        train_attack(tiny, "ta-dch-prototype", tmp_path, *SMALL, f"--model.init_args.labels_per_step={count}")
