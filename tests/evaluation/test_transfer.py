"""Attacks crafted on one hasher and scored on another."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

import evaluate
from lightning_modules.attacks import IterativeCodeAttack
from lightning_modules.evaluation.plan import EvaluationPlan, HasherEntry
from tests.attacks.linear import LinearVictim, make_problem, objective
from tests.conftest import Tiny, evaluation_arguments, fit

BITS = {"DPSH": 8, "wide": 12}


@pytest.fixture(scope="module")
def crafted() -> list[int]:
    """Code lengths of the goals that were crafted for."""
    return []


@pytest.fixture(scope="module")
def found(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory, crafted: list[int]) -> list[dict]:
    """Rows of two hashers that differ in bits and backbone, with all pairs."""
    root = tmp_path_factory.mktemp("transfer")
    backbone = ("--model.init_args.image.init_args.model_args={layers: [1, 1, 1, 1], channels: [4, 4, 8, 8]}",)
    fit("tiny-hasher.yaml", root=root, run="wide", extra=("--model.init_args.num_bits=12", *backbone))
    pairs = [f"{attack}/{defence}" for attack in ("none", "P2P") for defence in ("RetPur", "blur")]
    pairs += [f"DHTA/{defence}" for defence in ("none", "RetPur", "blur")]
    entry = {"dataset": "scenes", "checkpoint": str(root / "wide/checkpoints/last.ckpt")}
    plan = {"hashers": {"wide": entry}, "transfer": "all", "exclude": pairs}
    (root / "plan.yaml").write_text(yaml.safe_dump(plan))
    craft = IterativeCodeAttack.forward

    def observed(self, images, goal, victim):
        crafted.append(goal.code.shape[1])
        assert victim.num_bits == goal.code.shape[1], "the goal is one of the hasher that is attacked"
        return craft(self, images, goal, victim)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IterativeCodeAttack, "forward", observed)
        assert evaluate.main(evaluation_arguments(tiny, root / "out", "--config", str(root / "plan.yaml"))) == 0
    rows = json.loads((root / "out/results.json").read_text())
    rows[0]["report"] = (root / "out/report.md").read_text()
    return rows


def test_rows_are_all_pairs(found):
    names = [(row["hasher"], row["source_hasher"], row["attack"]) for row in found]
    assert names == [
        ("DPSH", "DPSH", "none"), ("DPSH", "DPSH", "P2P"), ("DPSH", "wide", "P2P"),
        ("wide", "wide", "none"), ("wide", "wide", "P2P"), ("wide", "DPSH", "P2P"),
    ]  # fmt: skip


def test_images_are_crafted_once_per_source(found, crafted):
    """Seven queries in shards of three: three calls on each hasher; the other one is never asked."""
    assert sorted(crafted) == [8, 8, 8, 12, 12, 12]


def test_what_belongs_to_the_source_is_the_same_wherever_it_is_scored(found):
    own, transferred = ({row["source_hasher"]: row for row in found if row["attack"] == "P2P" and same(row) == kind}
                        for kind in (True, False))  # fmt: skip
    for source in BITS:
        for figure in ("anchor_map", "anchor_t_map", "linf", "rmse", "mean_rmse", "ssim", "psnr", "seconds_attack"):
            assert own[source][figure] == transferred[source][figure], figure
    assert any(own[source]["map"] != transferred[source]["map"] for source in BITS)


def same(row: dict) -> bool:
    return row["source_hasher"] == row["hasher"]


def test_the_report_names_the_source(found):
    report = found[0]["report"]
    assert "| P2P from wide | none |" in report
    assert "| P2P from DPSH | none |" in report


def plan_of(transfer, **hashers) -> EvaluationPlan:
    entries = {name: HasherEntry(dataset, f"{name}.ckpt") for name, dataset in hashers.items()}
    attacks = {"P2P": IterativeCodeAttack(iterations=1)}
    return EvaluationPlan("t", "out", dict.fromkeys(hashers.values()), entries, attacks, transfer=transfer)


def sources(plan: EvaluationPlan) -> list[tuple[str, str]]:
    return [(cell.source_hasher, cell.hasher) for cell in plan.cells() if cell.attack != "none"]


def test_all_pairs_stay_within_a_data_set():
    found = sources(plan_of("all", a="x", b="x", c="y"))
    assert found == [("a", "a"), ("b", "a"), ("b", "b"), ("a", "b"), ("c", "c")]


def test_some_pairs():
    assert sources(plan_of(["a/b"], a="x", b="x")) == [("a", "a"), ("b", "b"), ("a", "b")]
    assert sources(plan_of([], a="x", b="x")) == [("a", "a"), ("b", "b")]
    slugs = [cell.slug for cell in plan_of(["a/b"], a="x", b="x").cells()]
    assert len(set(slugs)) == len(slugs)


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("a/d", r"transfer 'a/d': expected source/hasher, two of \['a', 'b', 'c'\]"),
        ("a", "expected source/hasher"),
        ("a/a", "expected source/hasher"),
        ("a/c", "transfer 'a/c': the two hashers belong to different data sets"),
    ],
)
def test_wrong_pairs_are_said_before_work(pair, says):
    with pytest.raises(ValueError, match=says):
        plan_of([pair], a="x", b="x", c="y")


def test_a_shared_weakness_transfers_to_a_hasher_of_other_bits():
    """Two hashers that see the same features: what is crafted on one drives the other, which is never asked."""
    generator = torch.Generator().manual_seed(4)
    source, (images, goal) = LinearVictim().eval(), make_problem(8)
    mixing = torch.randint(2, (10, 6), generator=generator) * 2.0 - 1

    class Other(torch.nn.Module):
        def forward(self, pictures, alpha=1.0):
            return torch.tanh(alpha * pictures.flatten(1) @ source.weight.T @ mixing.T / 3)

    attack = IterativeCodeAttack(iterations=60, eps=0.3, step_rule="sign", step=0.02)
    found = attack(images, goal, source)
    anchor = torch.where(goal.code.float() @ mixing.T >= 0, 1.0, -1.0)
    wanted = type(goal)(goal.label, anchor)
    assert objective(Other(), found, wanted).mean() < objective(Other(), images, wanted).mean() - 0.1
