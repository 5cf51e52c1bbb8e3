"""Adversarial training images: who gets one, from where, and that none is a query."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import fsspec
import pytest
import torch
from safetensors.torch import load_file

import evaluate
from lightning_modules.attacks import IterativeCodeAttack
from lightning_modules.purification import DDPMModule, DiffusionPurifier
from lightning_modules.purification.pairs import CraftedPairs, PairSource, StoredPairs
from lightning_modules.purification.pairs import stored as stored_pairs
from tests.conftest import CONFIGS, Tiny, evaluation_arguments, fit

CPU = torch.device("cpu")
EXCLUDED = [f"{attack}/{defence}" for attack in ("none", "P2P", "DHTA") for defence in ("RetPur", "blur")]


class Shifted(PairSource):
    """Adds to every image the number that chooses its attack."""

    def setup(self, data, device):
        pass

    def attacked(self, batch, choice, epoch):
        return (batch.image + choice.view(-1, 1, 1, 1)).float()


def whole_split(data):
    """The training split as one batch, in its order."""
    dataset = data.dataset("train")
    return data.collate([dataset[row] for row in range(len(dataset))]).to("cpu")


@pytest.fixture(scope="module")
def data(tiny: Tiny):
    return tiny.open_data()


@pytest.fixture(scope="module")
def batch(data):
    return whole_split(data)


# Who is attacked


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.5, 370, 630), (1.0, 1000, 1000)])
def test_the_clean_share_is_kept(batch, share, low, high):
    ids = tuple(f"item-{number}" for number in range(1000))
    many = replace(batch.part([0] * 1000), ids=ids)
    images = Shifted(clean_share=share)(many, epoch=0)
    clean = int((images == many.image).flatten(1).all(dim=1).sum())
    assert low <= clean <= high


def test_draws_belong_to_samples_and_epochs(batch):
    source = Shifted()
    whole = source(batch, 3)
    rows = torch.randperm(len(batch), generator=torch.Generator().manual_seed(0))
    mixed = torch.cat([source(batch.part(part.tolist()), 3) for part in rows.split(5)])
    assert torch.equal(mixed, whole[rows])
    assert not torch.equal(source(batch, 4), whole)
    assert not torch.equal(Shifted(seed=1)(batch, 3), whole)
    assert source.spec["init_args"] == {"clean_share": 0.5, "seed": 0}


def test_an_attack_sees_features_of_its_images_only(batch):
    class Watched(Shifted):
        def attacked(self, batch, choice, epoch):
            assert len(batch.features) == len(batch.text) == len(batch) < 20
            return super().attacked(batch, choice, epoch)

    twenty = batch.part(range(20))
    Watched()(replace(twenty, features=torch.rand(20, 3), text=torch.rand(20, 2)), 0)


# Crafted


def attacks(*names):
    options = {"iterations": 2, "step_rule": "sign", "step": 2 / 255, "alpha_schedule": "constant"}
    return [IterativeCodeAttack(num_items=1, eps=eps / 255, **options) for eps in names]


@pytest.fixture(scope="module")
def crafted(tiny: Tiny, data):
    source = CraftedPairs(str(tiny.hasher), attacks(2, 4), clean_share=0.25, pool="unique")
    source.setup(data, CPU)
    return source


def test_every_attack_is_used_within_its_budget(crafted, batch):
    images = crafted(batch, 0)
    largest = ((images - batch.image).abs().flatten(1).amax(dim=1) * 255).round()
    assert set(largest.tolist()) == {0.0, 2.0, 4.0}
    torch.testing.assert_close((images * 255).round(), images * 255, rtol=0, atol=1e-4)
    assert images.min() >= 0
    assert images.max() <= 1


def test_a_crafted_image_does_not_depend_on_its_batch(crafted, batch):
    whole = crafted(batch, 1)
    parts = torch.cat([crafted(part, 1) for _, part in batch.split(7)])
    assert ((parts - whole).abs() > 0.5 / 255).double().mean() < 0.01  # signs of gradients near zero, by rounding
    assert ((crafted(batch, 2) - whole).abs() > 0.5 / 255).double().mean() > 0.2


def test_the_attacker_knows_the_training_split_only(crafted, data):
    encoder, knowledge = crafted._open
    assert knowledge.ids == data.ids("train")
    assert not set(knowledge.ids) & set(data.ids("query"))
    images = whole_split(data).image
    assert torch.equal(knowledge.codes, (encoder(images) >= 0).to(torch.int8) * 2 - 1)


def test_an_untargeted_attack_gets_the_labels_of_its_images(tiny: Tiny, data, batch, monkeypatch):
    class Untargeted(IterativeCodeAttack):
        targeted = False
        asked = None

        def aim(self, label, ids, knowledge, seed):
            self.asked = (label, ids, seed)
            return super().aim(label, ids, knowledge, seed)

    attack = Untargeted(num_items=1, iterations=1)
    source = CraftedPairs(str(tiny.hasher), [attack], clean_share=0.0, pool="unique")
    monkeypatch.setattr(data, "train_dataloader", lambda: pytest.fail("draws from the global generator"))
    source.setup(data, CPU)
    seeds = set()
    for source.seed, epoch in ((0, 1), (1, 0), (0, 0)):
        source(batch, epoch)
        assert torch.equal(attack.asked[0], batch.label)
        assert attack.asked[1] == batch.ids
        seeds.add(attack.asked[2])
    assert len(seeds) == 3


def test_what_is_wrong_with_crafting_is_said_before_work(tiny: Tiny, data):
    with pytest.raises(ValueError, match="attacks: expected at least one"):
        CraftedPairs(str(tiny.hasher), [])
    with pytest.raises(ValueError, match="clean_share=2: expected a probability"):
        CraftedPairs(str(tiny.hasher), attacks(2), clean_share=2)
    with pytest.raises(ValueError, match=r"none\.ckpt.*no such file"):
        CraftedPairs("none.ckpt", attacks(2)).setup(data, CPU)
    with pytest.raises(ValueError, match=r"target pool 'counted' \(min_count=1000\) is empty"):
        CraftedPairs(str(tiny.hasher), attacks(2), min_count=1000).setup(data, CPU)


# Stored


@pytest.fixture(scope="module")
def stored(tiny: Tiny, tmp_path_factory):
    output = tmp_path_factory.mktemp("pairs")
    plan = ["--split=train", "--shard_size=10", "--exclude=" + json.dumps(EXCLUDED)]
    assert evaluate.main(evaluation_arguments(tiny, output, *plan)) == 0
    return output


def stages_of(output):
    """The images of every stored stage of attacked images, in the order of the split."""
    folders = sorted((output / "store/adversarial").iterdir())
    return [torch.cat([load_file(path)["images"] for path in sorted(one.glob("*.safetensors"))]) for one in folders]


def test_stored_images_are_those_of_the_item(stored, data, batch):
    source = StoredPairs(str(stored), clean_share=0.0)
    source.setup(data, CPU)
    stages = stages_of(stored)
    assert len(stages) == 2  # P2P and DHTA
    assert len(stages[0]) == len(batch)
    rows = torch.randperm(len(batch), generator=torch.Generator().manual_seed(0))
    images = source(batch.part(rows.tolist()), 0)
    used = [0, 0]
    for image, row in zip((images * 255).round().to(torch.uint8), rows.tolist(), strict=True):
        hits = [torch.equal(image, stage[row]) for stage in stages]
        assert any(hits)
        used = [a + b for a, b in zip(used, hits, strict=True)]
    assert min(used) > 3
    assert (images - batch.image[rows]).abs().max() <= 8.001 / 255


def test_stored_images_are_read_from_any_address(stored, data, batch):
    address = "memory://stored-pairs-test"
    memory = fsspec.filesystem("memory")
    for path in (path for path in (stored / "store").rglob("*") if path.is_file()):
        memory.pipe_file(f"/stored-pairs-test/{path.relative_to(stored / 'store').as_posix()}", path.read_bytes())
    sources = StoredPairs(str(stored), clean_share=0.3), StoredPairs(store=address, clean_share=0.3)
    for source in sources:
        source.setup(data, CPU)
    for epoch in range(2):
        assert torch.equal(*(source(batch, epoch) for source in sources))
    memory.rm("/stored-pairs-test", recursive=True)
    with pytest.raises(ValueError, match=f"{address}/adversarial: no finished stage"):
        sources[1].setup(data, CPU)


def test_what_is_used_is_logged_and_other_versions_are_left_out(stored, data, batch, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(stored_pairs, "rank_zero_info", lines.append)
    shutil.copytree(stored / "store", tmp_path / "store")
    old, new = sorted((tmp_path / "store/adversarial").iterdir())
    content = json.loads((old / "manifest.json").read_text())
    content["facts"]["version"] += 1
    (old / "manifest.json").write_text(json.dumps(content))
    source = StoredPairs(str(tmp_path), clean_share=0.0)
    source.setup(data, CPU)
    facts = json.loads((new / "manifest.json").read_text())["facts"]
    assert [line.partition(": ")[0] for line in lines] == [str(old), str(new)]
    assert lines[0].endswith("left out, not of version 1 of its stage")
    assert f"{len(batch)} adversarial images, attack {facts['attack'][:12]} on hasher" in lines[1]
    images = load_file(new / "shard-00000.safetensors")["images"]
    assert torch.equal((source(batch.part(range(5)), 0) * 255).round().to(torch.uint8), images[:5])
    shutil.rmtree(new)
    with pytest.raises(ValueError, match=r"no finished stage of adversarial images \(version 1\)"):
        source.setup(data, CPU)


def test_one_place_is_to_be_given():
    for options in ({}, {"evaluation": "runs/x", "store": "memory://x"}):
        with pytest.raises(ValueError, match="give either evaluation"):
            StoredPairs(**options)
    with pytest.raises(ValueError, match="artefact store nowhere://x"):
        StoredPairs(store="nowhere://x")


def changed_manifest(stored, folder, **facts):
    """Copy one manifest of the stored images, with other facts about its queries."""
    manifest = next((stored / "store/adversarial").glob("*/manifest.json"))
    content = json.loads(manifest.read_text())
    content["facts"]["queries"] |= facts
    copy = folder / "store/adversarial/changed/manifest.json"
    copy.parent.mkdir(parents=True)
    copy.write_text(json.dumps(content))
    return StoredPairs(str(folder))


@pytest.mark.parametrize("split", ["query", "val"])
def test_stored_queries_are_refused(split, stored, data, tmp_path):
    message = f"adversarial images of split '{split}', which no purifier may be trained on.* or store of its own"
    with pytest.raises(ValueError, match=message):
        changed_manifest(stored, tmp_path, split=split).setup(data, CPU)


def test_what_is_wrong_with_stored_images_is_said_before_work(stored, data, tmp_path):
    with pytest.raises(ValueError, match="no finished stage of adversarial images"):
        StoredPairs(str(tmp_path)).setup(data, CPU)
    other = data.pixel_facts | {"fingerprint": "other"}
    with pytest.raises(ValueError, match="made from other data, splits or picture sizes"):
        changed_manifest(stored, tmp_path / "other", data=other).setup(data, CPU)
    with pytest.raises(ValueError, match=f"5 of {len(data.ids('train'))} training items; leave out num_queries"):
        changed_manifest(stored, tmp_path / "part", total=5).setup(data, CPU)


# The whole line


def finetune(tiny: Tiny, root, *flags: str):
    """Run the documented command on the tiny data."""
    ours = ["--config", str(CONFIGS / "purification/finetune.yaml")]
    ours += ["--data.init_args.cache_dir", str(tiny.data), "--model.init_args.pretrained", str(tiny.ddpm)]
    ours += ["--trainer.logger.init_args.save_dir", str(root / "run"), "--trainer.max_steps=2"]
    return fit(root=root, run="run", extra=(*ours, *flags))


def test_the_command_fine_tunes_a_diffusers_folder(tiny: Tiny, tmp_path, batch):
    flags = ["--model.init_args.pairs.init_args.victim", str(tiny.hasher)]
    cli = finetune(tiny, tmp_path, *flags, "--model.init_args.pairs.init_args.pool=unique")
    assert cli.trainer.global_step == 2
    assert [attack.num_items for attack in cli.model.pairs.attacks] == [9, 1]
    before, after = (DiffusionPurifier(str(one), purify_steps=2) for one in (tiny.ddpm, tmp_path / "run/export"))
    assert not torch.equal(before.denoiser.unet.conv_in.weight, after.denoiser.unet.conv_in.weight)
    assert after(batch.image[:2]).shape == (2, 3, 16, 16)
    checkpoint = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert all(name.startswith(("denoiser.", "ema.")) for name in checkpoint["state_dict"])
    loaded = DDPMModule.load_from_checkpoint(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert loaded.objective.spec["class_path"].endswith(".Purify")


def test_the_command_reads_stored_pairs(tiny: Tiny, stored, tmp_path):
    flags = ["--config", str(CONFIGS / "purification/stored-pairs.yaml")]
    flags += ["--model.init_args.pairs.init_args.evaluation", str(stored)]
    flags += ["--model.init_args.objective", "lightning_modules.purification.objectives.Bridge"]
    cli = finetune(tiny, tmp_path, *flags)
    assert cli.trainer.global_step == 2
    assert cli.model.objective.horizon == (45, 45)
    assert "loss" in " ".join(cli.trainer.logged_metrics)


def test_an_objective_without_its_images_is_refused(tiny: Tiny, tmp_path):
    with pytest.raises(ValueError, match="objective Purify needs adversarial images: give pairs"):
        finetune(tiny, tmp_path, "--model.init_args.pairs=null")
