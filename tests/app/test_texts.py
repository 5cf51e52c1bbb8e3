"""The desk of a cross-modal hasher: ranked texts beside ranked images, and targets that are items with texts."""

import pytest
import torch
import yaml

from app import markup
from app.__main__ import open_desk
from app.query import Choice
from datamodules.text import BagOfWords
from lightning_modules.evaluation.plan import Cell
from lightning_modules.evaluation.runner import Evaluation
from lightning_modules.hashing import load_hasher
from lightning_modules.types import binarize
from tests.conftest import CONF, fit, open_tiny_data


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The desk, its data and its network."""
    root = tmp_path_factory.mktemp("texts")
    cli = fit("tiny-cross.yaml", root=root, run="dcmh", extra=("--model.init_args.loss=DCMHLoss",))
    plan = yaml.safe_load((CONF / "tiny-evaluation.yaml").read_text())
    cache, checkpoint = cli.datamodule.cache_dir, root / "dcmh/checkpoints/last.ckpt"
    text = {"class_path": "datamodules.text.BagOfWords"}
    plan["datasets"]["scenes"]["init_args"] |= {"cache_dir": str(cache), "text": text}
    plan["hashers"]["DPSH"]["checkpoint"] = str(checkpoint)
    plan |= {"output": str(root), "targets": {"pool": "rows"}, "shard_size": 1}
    del plan["defences"]["RetPur"]
    (root / "plan.yaml").write_text(yaml.safe_dump(plan))
    data = open_tiny_data(cache, BagOfWords())
    return open_desk(["--config", str(root / "plan.yaml"), "--device=cpu"])[0], data, load_hasher(str(checkpoint), data)


def test_texts_are_ranked_as_brute_force_says(trained):
    desk, data, network = trained
    states = desk.search("DPSH", desk.query("DPSH", 1), Choice("P2P", defence="blur", depth=7))
    with torch.no_grad():
        codes = binarize(network.text_encoder.eval()(data.text_features("database")))
    items = data.dataset("database")
    for state in states:
        distance = (codes != state.code).sum(dim=1).tolist()
        order = sorted(range(len(distance)), key=lambda row: (distance[row], row))[:7]
        assert [found.distance for found in state.texts] == [distance[row] for row in order]
        assert [found.caption for found in state.texts] == [items[row].caption for row in order]
        assert all(found.caption in markup.lists(state) for found in state.texts)


def test_states_are_what_an_evaluation_stores(trained):
    desk, _, _ = trained
    evaluation = Evaluation(desk._plan, lambda cell: pytest.fail("nothing is trained or tested"))
    evaluation.contexts = desk._contexts
    stored = evaluation.module(Cell("scenes", "DPSH", "DPSH", "P2P", "blur")).outputs(desk._contexts["DPSH"].queries[2])
    states = desk.search("DPSH", desk.query("DPSH", 2), Choice("P2P", defence="blur"))
    assert torch.equal(states[2].code, stored.codes[0])


def test_another_target_brings_its_own_text(trained):
    desk, data, _ = trained
    name = desk.targets("DPSH")[-1]
    aimed = desk._targets["DPSH"].aim(desk.query("DPSH", 0), Choice("P2P", name), desk._plan.attacks["P2P"])
    sets = [sorted(data.class_names[place] for place in label.nonzero()) for label in data.labels("database")]
    first = sets.index(sorted(name.split(" + ")))
    assert torch.equal(aimed.target, data.labels("database")[first])
    assert torch.equal(aimed.target_text[0], data.text_features("database")[first])
