"""Attacks through a defence, and votes, as cells of an evaluation."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

import evaluate
from lightning_modules.attacks import IterativeCodeAttack
from lightning_modules.defences import DefendedEncoder, GaussianBlur, GaussianNoise
from lightning_modules.evaluation.compose import compose
from lightning_modules.evaluation.plan import AdaptiveEntry, EvaluationPlan
from lightning_modules.evaluation.treatment import hash_paths
from tests.conftest import CONFIGS, Tiny, evaluation_arguments

SURROGATE = """
surrogates:
  small:
    class_path: lightning_modules.purification.DiffusionPurifier
    init_args: {model: %s, purify_steps: 4, calls: 2, metric: mse, n_paths: 2}
adaptive:
  DHTA through small: {attack: DHTA, through: small, draws: 2}
  P2P through blur: {attack: P2P, through: blur}
"""
WANTED = ("P2P/RetPur", "P2P/none", "DHTA/none", "none/RetPur", "none/blur", "DHTA/RetPur", "P2P through blur/RetPur")


@pytest.fixture(scope="module")
def rows(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict]:
    folder = tmp_path_factory.mktemp("adaptive")
    plan = folder / "adaptive.yaml"
    plan.write_text(SURROGATE % tiny.ddpm + yaml.safe_dump({"exclude": list(WANTED)}))
    arguments = evaluation_arguments(tiny, folder / "out", "--num_queries=4", "--pictures=1")
    arguments += ["--defences.RetPur.init_args.n_paths=3"]
    assert evaluate.main([*arguments[:2], "--config", str(plan), *arguments[2:]]) == 0
    found = json.loads((folder / "out/results.json").read_text())
    return {(row["attack"], row["defence"]): row | {"store": folder / "out/store"} for row in found}


def test_adaptive_rows_meet_every_defence_within_the_budget(rows):
    expected = {("none", "none"), ("P2P", "blur"), ("DHTA", "blur")}
    expected |= {("DHTA through small", defence) for defence in ("none", "RetPur", "blur")}
    expected |= {("P2P through blur", defence) for defence in ("none", "blur")}
    assert set(rows) == expected
    assert all(row["linf"] <= 8.0001 for (attack, _), row in rows.items() if attack != "none")


def test_a_row_says_what_the_attacker_knows_and_how_strong_the_defence_is(rows):
    assert rows["none", "none"]["threat"] is None
    assert rows["DHTA", "blur"]["threat"] == "oblivious"
    assert rows["DHTA through small", "blur"]["threat"] == "adaptive, 2 draws per gradient"
    facts = rows["DHTA through small", "RetPur"]["defence_facts"]
    assert (facts["network_calls"], facts["scale"]) == (12, 1000.0)
    assert facts["pull"] > 0
    assert rows["DHTA through small", "RetPur"]["defence_options"]["purify_steps"] == 4
    assert rows["DHTA through small", "none"]["defended_rmse"] is None
    assert 0 < rows["DHTA through small", "RetPur"]["defended_rmse"] < 0.5


def test_the_defence_of_an_adaptive_attack_is_part_of_its_key(rows):
    store = next(iter(rows.values()))["store"]
    manifests = [json.loads(path.read_text())["facts"] for path in store.glob("adversarial/*/manifest.json")]
    through = [facts.get("through") for facts in manifests]
    assert len(manifests) == 4
    assert sorted(one["draws"] for one in through if one) == [1, 2]
    assert {"defence": GaussianBlur().fingerprint(), "draws": 1} in through


def test_an_adaptive_attack_is_crafted_through_its_defence(tiny: Tiny, tmp_path, monkeypatch):
    victims = []

    def leave(self, images, goal, victim):
        victims.append(victim)
        return images

    monkeypatch.setattr(IterativeCodeAttack, "forward", leave)
    plan = tmp_path / "adaptive.yaml"
    plan.write_text("adaptive: {through blur: {attack: P2P, through: blur, draws: 3}}\n")
    arguments = evaluation_arguments(tiny, tmp_path / "out", "--num_queries=2", "--pictures=0")
    assert evaluate.main([*arguments[:2], "--config", str(plan), *arguments[2:]]) == 0
    defended = [victim for victim in victims if isinstance(victim, DefendedEncoder)]
    assert [(type(one.defence), one.draws) for one in defended] == [(GaussianBlur, 3)]
    assert len(victims) == 3  # P2P, DHTA, P2P through blur: each crafted once for all its defences


# The plan


def plan(**entries) -> EvaluationPlan:
    attacks, defences = {"P2P": IterativeCodeAttack(num_items=1)}, {"noise": GaussianNoise()}
    return EvaluationPlan("name", "out", {}, {}, attacks=attacks, defences=defences, **entries)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"adaptive": {"x": AdaptiveEntry("DHTA", "noise")}}, r"adaptive 'x' names attack 'DHTA', found \['P2P'\]"),
        ({"adaptive": {"x": AdaptiveEntry("P2P", "blur")}}, r"adaptive 'x' goes through 'blur', found \['noise'\]"),
        ({"adaptive": {"x": AdaptiveEntry("P2P", "noise", 0)}}, "adaptive 'x': draws=0"),
        ({"adaptive": {"P2P": AdaptiveEntry("P2P", "noise")}}, "'P2P' names two things"),
        ({"surrogates": {"noise": GaussianNoise()}}, "'noise' names two things"),
        ({"adaptive": {"none": AdaptiveEntry("P2P", "noise")}}, "'none' is reserved"),
    ],
)
def test_an_adaptive_entry_that_names_nothing_is_refused(entries, message):
    with pytest.raises(ValueError, match=message):
        plan(**entries)


def test_attack_side_and_defence_side_are_two_axes():
    attack_side = compose([CONFIGS / "surrogate/retpur.yaml"])
    defence_side = compose([CONFIGS / "defence/retpur.yaml"])
    assert (list(attack_side), list(defence_side)) == (["surrogates"], ["defences"])
    ((name, mine),), ((other, theirs),) = attack_side["surrogates"].items(), defence_side["defences"].items()
    assert name != other
    assert mine["init_args"]["purify_steps"] == theirs["init_args"]["purify_steps"]
    assert mine["init_args"]["seed"] != theirs["init_args"].get("seed", 0)


def test_the_vote_is_over_codes_of_paths():
    codes = torch.tensor([[[0.9, -0.1]], [[-0.2, -0.2]], [[-0.3, 0.9]]])
    voted = hash_paths(torch.nn.Identity(), codes)
    assert voted.tolist() == [[1, 1]]  # by sum, where a majority of signs would say [-1, -1]
