"""The command line as its users call it."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

import train
from lightning_modules.arguments import nulls_as_configs
from lightning_modules.hashing import HashingModule
from tests.conftest import CONF, CONFIGS, Tiny, fit

DATA = sorted((CONFIGS / "data").glob("*.yaml"))
METHODS = sorted(path.stem for path in (CONFIGS / "hashing").glob("*.yaml") if path.stem != "pretraining")
CROSS_MODAL = sorted(path.stem for path in (CONFIGS / "cross").glob("*.yaml"))
ONE_CALL = [f"purification/{name}.yaml" for name in ("finetune", "stored-pairs", "code-target")]
TUNED = {
    "small-resnet.yaml": ["backbone/vgg11.yaml", "hashing/dpsh.yaml"],
    "cifar10-dpsh.yaml": ["hashing/dpsh.yaml"],
    "cifar10-small-pretraining.yaml": ["hashing/pretraining.yaml", "tuned/small-resnet.yaml"],
    "cifar10-small.yaml": ["hashing/cibhash.yaml", "tuned/small-resnet.yaml"],
    "frozen-head.yaml": ["backbone/frozen-efficientnet.yaml", "hashing/dpsh.yaml"],
    "cifar10-pros-gan-prototype.yaml": ["attack-training/pros-gan-prototype.yaml"],
    "cifar10-pros-gan.yaml": ["attack-training/pros-gan.yaml"],
    "cifar10-small-pros-gan.yaml": ["attack-training/pros-gan.yaml"],
    "cifar10-ddpm.yaml": ["purification/ddpm-small.yaml"],
    "cifar10-one-call.yaml": ONE_CALL,
    "cifar10-one-call-unseen.yaml": [*ONE_CALL, "tuned/cifar10-one-call.yaml"],
    "demo-one-call.yaml": ONE_CALL,
    "demo-pretraining.yaml": ["hashing/pretraining.yaml", "tuned/small-resnet.yaml"],
    "demo-hasher.yaml": ["hashing/dpsh.yaml", "tuned/small-resnet.yaml"],
    "demo-ddpm.yaml": ["purification/ddpm-small.yaml"],
    "photographs-ddpm.yaml": ["purification/ddpm-small.yaml"],
}


def parse(capsys: pytest.CaptureFixture[str], *fragments: str, extra: tuple[str, ...] = ()) -> dict:
    """Parse and print a composition; nothing is built or run."""
    files = ["trainer/default.yaml", *fragments]
    args = ["fit", *(part for file in files for part in ("--config", str(CONFIGS / file)))]
    with pytest.raises(SystemExit):
        train.main([*args, *extra, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def test_every_fragment_is_tested():
    found = {path.name for path in (CONFIGS / "tuned").glob("*.yaml")}
    assert found == set(TUNED) | {"cross.yaml"} | {f"cross-{method}.yaml" for method in CROSS_MODAL}


@pytest.mark.parametrize("data", DATA, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", TUNED)
def test_every_documented_composition_parses(name, data, capsys):
    config = parse(capsys, f"data/{data.name}", *TUNED[name], f"tuned/{name}")
    assert config["model"]["class_path"].startswith("lightning_modules.")


@pytest.mark.parametrize(("fragment", "name"), [("bridge", "Bridge"), ("clean-target", "CleanTarget")])
def test_an_objective_of_fine_tuning_replaces_the_one_before_it(fragment, name, capsys):
    fragments = ("data/scenes.yaml", "purification/finetune.yaml", "purification/stored-pairs.yaml")
    own = f"purification/{fragment}.yaml"
    alone = parse(capsys, *fragments, own)["model"]["init_args"]
    assert alone["objective"]["class_path"] == f"lightning_modules.purification.objectives.{name}"
    last = parse(capsys, "data/scenes.yaml", *ONE_CALL, "tuned/demo-one-call.yaml", own)["model"]["init_args"]
    options = ("objective", "t_range", "augmentation")
    assert [last[option] for option in options] == [alone[option] for option in options]
    assert (last["pretrained"], alone["augmentation"]) == ("runs/demo/ddpm", None)


@pytest.mark.parametrize("null", [["null"], ["~"], "=null"])
def test_null_on_the_command_line_is_null(null, capsys):
    option = "--data.init_args.splits.train"
    given = [option + null] if isinstance(null, str) else [option, *null]
    fragments = ("data/scenes.yaml", "backbone/vgg11.yaml", "hashing/dpsh.yaml")
    config = parse(capsys, *fragments, extra=(f"{option}=17", *given, "--data.init_args.splits.val=9"))
    splits = config["data"]["init_args"]["splits"]
    assert (splits["train"], splits["val"]) == (None, 9)


def test_a_file_replaces_the_whole_unet_and_a_flag_one_key_of_it(capsys, tmp_path):
    fragments = ("data/scenes.yaml", "purification/ddpm-small.yaml")
    whole = parse(capsys, *fragments)["model"]["init_args"]["unet"]
    assert len(whole) > 1
    (tmp_path / "own.yaml").write_text("model: {init_args: {unet: {sample_size: 8}}}")
    assert parse(capsys, *fragments, str(tmp_path / "own.yaml"))["model"]["init_args"]["unet"] == {"sample_size": 8}
    flag = parse(capsys, *fragments, extra=("--model.init_args.unet.sample_size=8",))
    assert flag["model"]["init_args"]["unet"] == whole | {"sample_size": 8}


def test_other_arguments_are_left_as_they_are():
    args = ["fit", "--a.init_args.b", "nullable", "--a.init_args.c=none", "--trainer.callbacks.init_args.d", "null"]
    args += ["--e", "null", "null", "--f.init_args.g"]
    assert nulls_as_configs(args) == args
    assert nulls_as_configs(["--a.init_args.b.c", "null", "--d"]) == [
        "--config",
        "{a: {init_args: {b: {c: null}}}}",
        "--d",
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("backbone", sorted(path.name for path in (CONFIGS / "backbone").glob("*.yaml")))
def test_every_method_goes_with_every_backbone(method, backbone, capsys):
    config = parse(capsys, "data/scenes.yaml", f"backbone/{backbone}", f"hashing/{method}.yaml")["model"]
    assert config["class_path"] == "lightning_modules.hashing.HashingModule"
    image = config["init_args"]["image"]["init_args"]
    assert image["extractor" if "extractor" in image else "name"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fits_and_its_checkpoint_gives_codes(method, tiny: Tiny, tmp_path):
    extra = ("--config", str(CONFIGS / f"hashing/{method}.yaml"))
    if method == "cibhash":  # its fragment names the frozen extractor of its paper
        extractor = "--model.init_args.image.init_args.extractor.init_args"
        extra += (f"{extractor}.name=test_resnet", f"{extractor}.pretrained=false")
    extra += ("--model.init_args.num_bits=8", "--data.init_args.cache_dir", str(tiny.data))
    extra += ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1")
    cli = fit("tiny-hasher.yaml", root=tmp_path, run="x", extra=extra)
    assert cli.trainer.global_step == 2
    assert torch.isfinite(cli.trainer.callback_metrics["train/loss"])
    loaded = HashingModule.load_from_checkpoint(tmp_path / "x/checkpoints/last.ckpt", weights_only=True)
    assert type(loaded.loss) is type(cli.model.loss)
    assert loaded.loss.spec == cli.model.loss.spec
    images = torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    codes = loaded.encode(images)
    assert codes.shape == (9, 8)
    assert torch.equal(codes, cli.model.encode(images))


@pytest.mark.parametrize("strategy", sorted(path.name for path in (CONFIGS / "adversarial-training").glob("*.yaml")))
def test_every_adversarial_training_starts_from_a_trained_network(strategy, tiny: Tiny, tmp_path):
    extra = (
        "--config",
        str(CONFIGS / "hashing/dph_l2.yaml"),
        "--config",
        str(CONFIGS / f"adversarial-training/{strategy}"),
    )
    extra += ("--model.init_args.init_from", str(tiny.hasher), "--data.init_args.cache_dir", str(tiny.data))
    extra += ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=0")
    cli = fit("tiny-hasher.yaml", root=tmp_path, run="x", extra=extra)
    assert cli.trainer.global_step == 2
    assert torch.isfinite(cli.trainer.callback_metrics["train/adversarial"])
    loaded = HashingModule.load_from_checkpoint(tmp_path / "x/checkpoints/last.ckpt", weights_only=True)
    assert loaded.adversarial.spec == cli.model.adversarial.spec


@pytest.mark.parametrize("method", CROSS_MODAL)
def test_the_cross_modal_line_on_scenes_parses(method, capsys):
    tuned = ("tuned/cross.yaml", f"tuned/cross-{method}.yaml")
    config = parse(capsys, "data/scenes.yaml", "text/bag-of-words.yaml", f"cross/{method}.yaml", *tuned)
    assert config["trainer"]["logger"]["init_args"]["save_dir"] == f"runs/cross/{method}"
    assert config["model"]["init_args"]["image"]["init_args"]["hidden"] == [512]


@pytest.mark.parametrize("method", CROSS_MODAL)
@pytest.mark.parametrize("extractor", sorted(path.name for path in (CONFIGS / "extractor").glob("*.yaml")))
@pytest.mark.parametrize("text", sorted(path.name for path in (CONFIGS / "text").glob("*.yaml")))
def test_every_cross_modal_method_goes_with_every_extractor_and_text(method, extractor, text, capsys):
    fragments = (f"text/{text}", f"cross/{method}.yaml", f"extractor/{extractor}")
    config = parse(capsys, "data/scenes.yaml", *fragments)
    assert config["data"]["init_args"]["text"]["class_path"].startswith("datamodules.text.")
    image = config["model"]["init_args"]["image"]
    assert image["class_path"] == "lightning_modules.hashing.FrozenBackbone"
    assert image["init_args"]["extractor"]["class_path"].startswith("lightning_modules.hashing.")


@pytest.mark.parametrize("method", CROSS_MODAL)
def test_every_cross_modal_method_fits_and_its_checkpoint_gives_codes(method, tmp_path):
    extra = ("--config", str(CONFIGS / f"cross/{method}.yaml"), "--config", str(CONF / "tiny-cross.yaml"))
    extra += ("--trainer.limit_train_batches=2", "--trainer.max_epochs=1")  # not the five hundred of the fragments
    cli = fit("tiny-cross.yaml", root=tmp_path, run="x", extra=extra)
    assert cli.trainer.global_step >= 1
    losses = [value for name, value in cli.trainer.callback_metrics.items() if name.startswith("train/")]
    assert losses
    assert all(torch.isfinite(loss) for loss in losses)
    loaded = HashingModule.load_from_checkpoint(tmp_path / "x/checkpoints/last.ckpt", weights_only=True)
    assert loaded.loss.spec == cli.model.loss.spec
    images = torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.encode(images), cli.model.encode(images))
    texts = torch.rand(1, cli.datamodule.text_width)
    assert torch.equal(loaded.encode_text(texts), cli.model.encode_text(texts))


def test_misspelled_key_stops_before_any_work(tmp_path, capsys):
    with pytest.raises(SystemExit):
        fit("tiny-hasher.yaml", root=tmp_path, run="x", extra=("--model.init_args.num_bitz=8",))
    assert "num_bitz" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_wrong_type_stops_before_any_work(tmp_path, capsys):
    with pytest.raises(SystemExit):
        fit("tiny-hasher.yaml", root=tmp_path, run="x", extra=("--model.init_args.num_bits=many",))
    assert "num_bits" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_folder_for_results_that_nobody_writes_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        fit("tiny-hasher.yaml", root=tmp_path, run="x", extra=("--out", str(tmp_path / "out")))
    assert "HashingModule writes no pictures" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_printed_config_fits_again(tmp_path, capsys):
    with pytest.raises(SystemExit):
        fit("tiny-hasher.yaml", root=tmp_path, run="first", extra=("--print_config",))
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    cli = train.main(["fit", "--config", str(printed)])
    assert cli.trainer.global_step > 0
    assert (tmp_path / "first/checkpoints/last.ckpt").exists()


def test_fast_dev_run(tmp_path):
    cli = fit("tiny-hasher.yaml", root=tmp_path, run="x", extra=("--trainer.fast_dev_run=true",))
    assert cli.trainer.global_step == 1


def test_an_epoch_without_validation_is_kept(tmp_path):
    cli = fit("tiny-hasher.yaml", root=tmp_path, run="x", extra=("--trainer.check_val_every_n_epoch=3",))
    assert cli.trainer.current_epoch == 1
    assert "val/map" not in cli.trainer.callback_metrics
    assert (tmp_path / "x/checkpoints/last.ckpt").exists()


def test_resume_equals_uninterrupted(tmp_path):
    """Two epochs in one go and in two runs end with the same weights and the same code memory."""
    torch.use_deterministic_algorithms(True)
    flags = ("--data.init_args.loader.batch_size=40", "--trainer.limit_val_batches=0")
    whole = fit("tiny-hasher.yaml", root=tmp_path, run="whole", extra=(*flags, "--trainer.max_epochs=2"))
    fit("tiny-hasher.yaml", root=tmp_path, run="parts", extra=flags)
    resumed = fit(
        "tiny-hasher.yaml", root=tmp_path, run="parts", extra=(*flags, "--trainer.max_epochs=2", "--ckpt_path=last")
    )
    torch.use_deterministic_algorithms(False)
    assert resumed.trainer.global_step == whole.trainer.global_step
    ours, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        # One batch holds all items, so that the order of the second epoch changes sums by rounding only.
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-4, msg=name)


def test_predict_on_an_unlabelled_folder(tiny: Tiny, tmp_path):
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    Image.new("RGB", (20, 30), "red").save(folder / "a.png")
    Image.new("L", (40, 17), 90).save(folder / "more/b.jpg")
    files = (CONF / "tiny-hasher.yaml", CONFIGS / "predict/pictures.yaml")
    args = ["predict", *(part for file in files for part in ("--config", str(file)))]
    args += ["--data.init_args.root", str(folder), "--data.init_args.pixels.size=16"]
    args += ["--trainer.callbacks.init_args.folder", str(tmp_path / "codes"), "--trainer.accelerator=cpu"]
    args += ["--trainer.default_root_dir", str(tmp_path), "--return_predictions=true"]
    cli = train.main([*args, "--ckpt_path", str(tiny.hasher)])
    (batch,) = cli.trainer.predict_loop.predictions
    assert batch["ids"] == ("a.png", "more/b.jpg")
    assert batch["codes"].shape == (2, 8)
    assert batch["codes"].abs().eq(1).all()
    assert [path.name for path in (tmp_path / "codes").iterdir()] == ["codes-0.parquet"]
    written = pq.read_table(tmp_path / "codes/codes-0.parquet").to_pydict()
    assert written == {"id": list(batch["ids"]), "code": batch["codes"].tolist()}


def test_checkpoint_and_array_give_codes(tiny: Tiny):
    module = HashingModule.load_from_checkpoint(tiny.hasher, weights_only=True)
    codes = module.encode(torch.rand(3, 3, 16, 16))
    assert codes.shape == (3, 8)
    assert codes.dtype == torch.int8


def test_every_tiny_config_is_used():
    used = {"tiny-data.yaml", "tiny-hasher.yaml", "tiny-cross.yaml", "tiny-ddpm.yaml", "tiny-evaluation.yaml"}
    assert {path.name for path in CONF.glob("*.yaml")} == used
