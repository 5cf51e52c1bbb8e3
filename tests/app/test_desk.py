"""The desk: what it shows is what an evaluation stores, and what brute force finds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from app.query import Choice
from lightning_modules.evaluation.plan import Cell
from lightning_modules.evaluation.runner import Evaluation
from lightning_modules.hashing import HashingModule
from lightning_modules.purification import DiffusionPurifier
from lightning_modules.query_pictures import as_picture
from lightning_modules.types import binarize


@pytest.fixture(scope="module")
def data(tiny):
    return tiny.open_data()


@pytest.fixture(scope="module")
def database(tiny, data):
    """Codes of the database, made here."""
    network = HashingModule.load_from_checkpoint(tiny.hasher)
    return torch.cat([network.encode(batch.image) for batch in data.test_dataloader()[0]])


def test_the_plan_is_offered(desk, data):
    assert desk.title == "Tiny evaluation"
    assert desk.hashers == ["DPSH"]
    assert desk.attacks == ["none", "P2P", "DHTA", "HAG"]
    assert desk.defences == ["none", "RetPur", "blur"]
    assert desk.classes("DPSH") == list(data.class_names)
    assert desk.settings("RetPur") == (4, 1000)
    assert desk.settings("blur") is desk.settings("none") is None
    names = [name.partition(":")[0] for name, _ in desk.queries("DPSH")]
    assert names == list(data.ids("query"))
    assert desk.figure_3() == Choice("P2P", defence="RetPur")


@pytest.mark.parametrize(("attack", "defence"), [("P2P", "RetPur"), ("DHTA", "blur"), ("HAG", "RetPur")])
def test_states_are_what_an_evaluation_stores(desk, attack, defence):
    evaluation = Evaluation(desk._plan, lambda cell: pytest.fail("nothing is trained or tested"))
    evaluation.contexts = desk._contexts
    cell = Cell("scenes", "DPSH", "DPSH", attack, defence)
    for position in (0, 4):
        stored = evaluation.module(cell).outputs(evaluation.contexts["DPSH"].queries[position])
        states = desk.search("DPSH", desk.query("DPSH", position), Choice(attack, defence=defence))
        assert [state.name for state in states] == ["clean", "attacked", "purified"]
        images = (stored.original[0], stored.attacked[0], stored.defended[0])
        for state, image in zip(states, images, strict=True):
            assert np.array_equal(state.picture, as_picture(image))
        assert torch.equal(states[0].code, stored.clean[0])
        assert torch.equal(states[2].code, stored.codes[0])


def test_lists_are_ranked_and_framed_as_brute_force_says(desk, data, database):
    query = desk.query("DPSH", 3)
    states = desk.search("DPSH", query, Choice("DHTA", defence="RetPur", depth=12))
    labels, ids, names = data.labels("database"), data.ids("database"), data.class_names
    for state in states:
        distance = (database != state.code).sum(dim=1).tolist()
        order = sorted(range(len(distance)), key=lambda row: (distance[row], row))[:12]
        assert [found.sample_id for found in state.images] == [ids[row] for row in order]
        assert [found.distance for found in state.images] == [distance[row] for row in order]
        for found, row in zip(state.images, order, strict=True):
            hit, aimed = bool((labels[row] & query.label).any()), bool((labels[row] & query.target).any())
            assert found.kind == {(1, 0): "hit", (0, 1): "target", (1, 1): "both", (0, 0): "miss"}[(hit, aimed)]
            assert found.classes == " + ".join(names[place] for place in labels[row].nonzero().flatten())
            assert np.array_equal(found.picture, as_picture(data.dataset("database")[row].image))
        assert state.flipped == int((state.code != states[0].code).sum())
        assert state.texts == ()


def test_targets_are_the_label_sets_of_the_database(desk, data):
    sets = Counter(tuple(label.nonzero().flatten().tolist()) for label in data.labels("database"))
    named = {" + ".join(data.class_names[place] for place in one): count for one, count in sets.items() if one}
    assert set(desk.targets("DPSH")) == set(named)
    counts = [named[name] for name in desk.targets("DPSH")]
    assert counts == sorted(counts, reverse=True)


def test_the_attacker_may_want_something_else(desk):
    query, context, attack = desk.query("DPSH", 0), desk._contexts["DPSH"], desk._plan.attacks["DHTA"]
    plan = desk.search("DPSH", query, Choice("DHTA"))[1]
    name = next(name for name in desk.targets("DPSH") if name != plan.target)
    ours = desk.search("DPSH", query, Choice("DHTA", target=name))[1]
    assert ours.target == name
    label = torch.tensor([[one in name.split(" + ") for one in desk.classes("DPSH")]], dtype=torch.uint8)
    goal = attack.aim(label, (query.sample_id,), context.known(attack.knowledge), desk._plan.seed)
    crafted = attack(query.image[None].float() / 255, goal, context.encoder)
    assert np.array_equal(ours.picture, as_picture((crafted[0] * 255).round().to(torch.uint8)))
    aimed = [found.kind in ("target", "both") for found in ours.images]
    assert aimed == [bool(set(name.split(" + ")) & set(found.classes.split(" + "))) for found in ours.images]


def test_nothing_is_a_target_without_a_targeted_attack(desk):
    for attack in ("none", "HAG"):
        states = desk.search("DPSH", desk.query("DPSH", 1), Choice(attack))
        assert {found.kind for state in states for found in state.images} <= {"hit", "miss"}
        assert {state.target for state in states} == {""}


def test_t_p_and_s_replace_those_of_the_plan(desk, tiny):
    query = desk.query("DPSH", 2)
    clean, purified = desk.search("DPSH", query, Choice(defence="RetPur", purify_steps=9, scale=0.0))
    purifier = DiffusionPurifier(str(tiny.ddpm), purify_steps=9, scale=0.0, metric="mse")
    expected = purifier(query.image[None].float() / 255, (query.sample_id,))
    assert np.array_equal(purified.picture, as_picture((expected[0] * 255).round().to(torch.uint8)))
    planned = desk.search("DPSH", query, Choice(defence="RetPur", purify_steps=4, scale=1000.0))[1]
    assert np.array_equal(planned.picture, desk.search("DPSH", query, Choice(defence="RetPur"))[1].picture)
    assert not np.array_equal(planned.picture, purified.picture)
    assert np.array_equal(clean.picture, as_picture(query.image))


def test_a_picture_from_outside_is_brought_to_size_and_its_class_is_found(desk, tiny, data, database):
    picture = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    query = desk.outside("DPSH", picture)
    assert query.image.shape == (3, 16, 16)
    assert query.label is None
    (state,) = desk.search("DPSH", query, Choice(depth=5))
    network = HashingModule.load_from_checkpoint(tiny.hasher).eval()
    code = binarize(network.image_encoder(query.image[None].float() / 255))
    near = (database != code).sum(dim=1).argsort(stable=True)[:5]
    counts = data.labels("database")[near].sum(dim=0).tolist()
    assert counts[data.class_names.index(state.label)] == max(counts)
    assert sum(found.kind == "hit" for found in state.images) == max(counts)
    known = desk.outside("DPSH", picture, data.class_names[1])
    assert known.label.nonzero().flatten().tolist() == [1]
    assert known.sample_id == query.sample_id, "its id is a digest of its pixels"


def test_equal_pixels_pass_unchanged(desk):
    query = desk.query("DPSH", 0)
    assert torch.equal(desk.outside("DPSH", as_picture(query.image)).image, query.image)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (Choice("P3P"), "attack 'P3P': expected one of none, P2P, DHTA, HAG"),
        (Choice(defence="Blur"), "defence 'Blur': expected one of RetPur, blur"),
        (Choice("P2P", target="unicorn"), "target 'unicorn': expected one of "),
        (Choice(defence="RetPur", purify_steps=1001), r"purify_steps=1001: expected 1\.\.1000"),
        (Choice(defence="RetPur", scale=-1.0), "scale=-1.0: expected 0 or more"),
    ],
)
def test_wrong_choices_are_named(desk, choice, says):
    with pytest.raises(ValueError, match=says):
        desk.search("DPSH", desk.query("DPSH", 0), choice)


def test_wrong_queries_are_named(desk):
    with pytest.raises(ValueError, match="hasher 'CSQ': expected one of DPSH"):
        desk.query("CSQ", 0)
    with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\), got torch.uint8 \(4, 4\)"):
        desk.outside("DPSH", np.zeros((4, 4), np.uint8))
    outside = desk.outside("DPSH", np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match="needs a target"):
        desk.search("DPSH", outside, Choice("P2P"))


def test_attacks_of_one_hasher_are_offered_and_stay_with_it(desk, monkeypatch):
    plan = desk._plan
    own = replace(plan.hashers["DPSH"], attacks={"trained": plan.attacks["DHTA"]})
    monkeypatch.setitem(plan.hashers, "other", own)
    assert desk.attacks == ["none", "P2P", "DHTA", "HAG", "trained"]
    with pytest.raises(ValueError, match="'trained' was trained against other hashers than 'DPSH'"):
        desk.search("DPSH", desk.query("DPSH", 0), Choice("trained"))
    monkeypatch.setattr(plan, "attacks", {})
    assert desk.figure_3().attack == "trained"
