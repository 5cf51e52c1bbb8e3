"""Converted networks against independent ones with the same weights, and files that are no such networks."""

import json
from fractions import Fraction

import pytest
import torch
from diffusers import DDPMPipeline, UNet2DModel
from safetensors.torch import save_file

from lightning_modules.purification import Diffusion, DiffusionPurifier
from lightning_modules.purification.convert import convert_adm, convert_pesser
from lightning_modules.purification.convert.__main__ import main
from tests.purification.convert.adm_network import ADM
from tests.purification.convert.pesser_network import Pesser

GAIN = 1.5  # default initialisation is so small that a wrong rule would hide below the tolerance


def random(network):
    """Give every weight a random value: norms and biases too, which start at ones and zeros."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim == 1:
                weight.copy_(0.3 * noise + (1 if "norm" in name or "layers.0" in name or name == "out.0.weight" else 0))
            else:
                weight.copy_(GAIN * noise / weight[0].numel() ** 0.5)
    return network.eval()


def inputs(size=16):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 3, size, size, generator=generator), torch.tensor([0, 44, 977])


def assert_equal(network, converted, *labels):
    x, t = inputs()
    with torch.no_grad():
        expected = network(x, t, *labels)
        found = converted(x, t, *labels).sample
    assert expected.std() > 0.1
    scale = float(expected.abs().max())
    assert float((found - expected).abs().max()) <= 1e-5 * max(1.0, scale)


ADM_KINDS = {
    "256 px uncond": {},
    "two blocks, three levels": {"layers": 2, "multipliers": (1, 1, 2), "attention": (False, True, True)},
    "new order": {"order": "new"},
    "no learned variance": {"outputs": 3},
    "predecessor": {"in_blocks": False, "scale_shift": False},
    "predecessor, scale and shift": {"in_blocks": False, "attention": (True, True)},
}


@pytest.mark.parametrize("kind", ADM_KINDS)
def test_adm(kind, tmp_path):
    network = random(ADM(**ADM_KINDS[kind]))
    torch.save(network.state_dict(), tmp_path / "adm.pt")
    order = ADM_KINDS[kind].get("order", "legacy")
    convert_adm(str(tmp_path / "adm.pt"), str(tmp_path / "out"), head_channels=16, attention_order=order)
    assert_equal(network, UNet2DModel.from_pretrained(tmp_path / "out/unet"))


def test_adm_with_classes(tmp_path):
    network = random(ADM(classes=5))
    torch.save(network.state_dict(), tmp_path / "adm.pt")
    convert_adm(str(tmp_path / "adm.pt"), str(tmp_path / "out"), head_channels=16, schedule="cosine")
    assert_equal(network, UNet2DModel.from_pretrained(tmp_path / "out/unet"), torch.tensor([4, 0, 2]))
    assert json.loads((tmp_path / "out/scheduler/scheduler_config.json").read_text())["beta_schedule"] == (
        "squaredcos_cap_v2"
    )


def test_a_network_with_classes_is_no_purifier(tmp_path):
    torch.save(random(ADM(classes=5)).state_dict(), tmp_path / "adm.pt")
    convert_adm(str(tmp_path / "adm.pt"), str(tmp_path / "out"), head_channels=16)
    with pytest.raises(ValueError, match="expected an unconditional one"):
        Diffusion.from_pretrained(str(tmp_path / "out"))


def test_a_fixed_number_of_heads_of_one_width(tmp_path):
    network = random(ADM(head_channels=32))
    torch.save(network.state_dict(), tmp_path / "adm.pt")
    convert_adm(str(tmp_path / "adm.pt"), str(tmp_path / "out"), heads=2)
    assert_equal(network, UNet2DModel.from_pretrained(tmp_path / "out/unet"))


@pytest.mark.parametrize("wrong", [{"attention_order": "new"}, {"head_channels": 32}])
def test_the_comparison_sees_a_wrong_rule(wrong, tmp_path):
    network = random(ADM())
    torch.save(network.state_dict(), tmp_path / "adm.pt")
    convert_adm(str(tmp_path / "adm.pt"), str(tmp_path / "out"), **({"head_channels": 16} | wrong))
    with pytest.raises(AssertionError):
        assert_equal(network, UNet2DModel.from_pretrained(tmp_path / "out/unet"))


PESSER_KINDS = {"CIFAR-10": {}, "one block": {"layers": 1, "multipliers": (1, 1), "attention": (False, True)}}


@pytest.mark.parametrize("kind", PESSER_KINDS)
def test_pesser(kind, tmp_path):
    network = random(Pesser(**PESSER_KINDS[kind]))
    torch.save(network.state_dict(), tmp_path / "ddpm.ckpt")
    convert_pesser(str(tmp_path / "ddpm.ckpt"), str(tmp_path / "out"), dropout=0.1)
    assert_equal(network, UNet2DModel.from_pretrained(tmp_path / "out/unet"))
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "out", low_cpu_mem_usage=False)
    assert pipeline.unet.config["dropout"] == 0.1
    assert pipeline.scheduler.config["variance_type"] == "fixed_large"


def test_a_converted_network_purifies(tmp_path, images):
    torch.save(random(Pesser()).state_dict(), tmp_path / "ddpm.ckpt")
    convert_pesser(str(tmp_path / "ddpm.ckpt"), str(tmp_path / "out"))
    purified = DiffusionPurifier(str(tmp_path / "out"), purify_steps=2)(images[:2])
    assert purified.shape == (2, 3, 16, 16)


def test_learned_variance_is_noted(tmp_path):
    torch.save(random(ADM()).state_dict(), tmp_path / "adm.pt")
    convert_adm(str(tmp_path / "adm.pt"), str(tmp_path / "out"), head_channels=16)
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "out", low_cpu_mem_usage=False)
    assert pipeline.scheduler.config["variance_type"] == "learned_range"
    assert pipeline.unet.config["out_channels"] == 6
    x, t = inputs()
    with torch.no_grad():
        assert Diffusion.from_pretrained(str(tmp_path / "out")).denoiser(x, t).shape == x.shape


# Forms of files


def forms(weights):
    averaged = {name: tensor + 1 for name, tensor in weights.items()}
    parallel = {f"module.{name}": tensor for name, tensor in weights.items()}
    optimiser = {"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-4}]}
    return {
        "plain": (weights, weights),
        "nested": ({"state_dict": weights, "epoch": 3}, weights),
        "parallel": (parallel, weights),
        "training": ([parallel, optimiser, 3, 100], weights),
        "training with averages": ([parallel, optimiser, 3, 100, averaged], averaged),
        "half": ({name: tensor.half() for name, tensor in weights.items()}, None),
    }


@pytest.mark.parametrize("form", ["plain", "nested", "parallel", "training", "training with averages", "half"])
def test_forms_of_checkpoints(form, tmp_path):
    weights = random(Pesser(layers=1, multipliers=(1,), attention=(False,))).state_dict()
    content, expected = forms(weights)[form]
    torch.save(content, tmp_path / "ddpm.ckpt")
    convert_pesser(str(tmp_path / "ddpm.ckpt"), str(tmp_path / "out"))
    found = UNet2DModel.from_pretrained(tmp_path / "out/unet").conv_in.weight
    expected = content["conv_in.weight"].float() if expected is None else expected["conv_in.weight"]
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_safetensors(tmp_path):
    save_file(random(ADM()).state_dict(), tmp_path / "adm.safetensors")
    convert_adm(str(tmp_path / "adm.safetensors"), str(tmp_path / "out"), head_channels=16)
    assert (tmp_path / "out/unet/diffusion_pytorch_model.safetensors").exists()


# Errors

HALF = Fraction(1, 2)


class Harmful:
    def __reduce__(self):
        return (print, ("code of the file was run",))


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    torch.save({"conv_in.weight": Harmful()}, tmp_path / "bad.pt")
    assert main(["pesser", str(tmp_path / "bad.pt"), str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    assert "not readable as plain weights" in shown.err
    assert "was run" not in shown.out


def damaged(change):
    weights = random(Pesser(layers=1, multipliers=(1,), attention=(False,))).state_dict()
    change(weights)
    return weights


FILES = {
    "another family": (lambda: random(ADM()).state_dict(), "expected the layout of pesser"),
    "a weight less": (lambda: damaged(lambda w: w.pop("mid.attn_1.q.bias")), r"mid_block\.attentions\.0\.to_q\.bias"),
    "a layer less": (lambda: damaged(lambda w: w.pop("norm_out.weight")), "no weight 'norm_out.weight'"),
    "a weight more": (lambda: damaged(lambda w: w.update(more=torch.ones(1))), "1 weights are unknown .*'more'"),
    "not finite": (lambda: damaged(lambda w: w["conv_in.bias"].fill_(torch.nan)), "'conv_in.bias' holds NaN"),
    "no tensors": (lambda: {"epoch": 3}, "expected a state dict"),
}


@pytest.mark.parametrize("kind", FILES)
def test_other_files_are_refused(kind, tmp_path):
    make, message = FILES[kind]
    torch.save(make(), tmp_path / "file.pt")
    with pytest.raises(ValueError, match=message) as caught:
        convert_pesser(str(tmp_path / "file.pt"), str(tmp_path / "out"))
    assert "file.pt" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_diffusers_cannot_express_is_refused(tmp_path):
    several = random(ADM(multipliers=(1, 2), attention=(True, True), head_channels=8))
    torch.save(several.state_dict(), tmp_path / "heads.pt")
    with pytest.raises(ValueError, match=r"heads=4 gives attention of widths \[32, 64\]"):
        convert_adm(str(tmp_path / "heads.pt"), str(tmp_path / "out"), heads=4)
    with pytest.raises(ValueError, match="head_channels=24 does not divide"):
        convert_adm(str(tmp_path / "heads.pt"), str(tmp_path / "out"), head_channels=24)
    narrow = random(ADM(width=64, multipliers=(HALF, 1)))  # as the 512 px model: narrower than its first convolution
    torch.save(narrow.state_dict(), tmp_path / "narrow.pt")
    with pytest.raises(ValueError, match="cannot express this network"):
        convert_adm(str(tmp_path / "narrow.pt"), str(tmp_path / "out"), head_channels=16)


def test_missing_and_foreign_files_are_named(tmp_path):
    assert main(["adm", str(tmp_path / "none.pt"), str(tmp_path / "out")]) == 1
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.pt: not readable as plain weights"):
        convert_adm(str(tmp_path / "text.pt"), str(tmp_path / "out"))
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.safetensors: not readable as plain weights"):
        convert_adm(str(tmp_path / "text.safetensors"), str(tmp_path / "out"))


def test_the_command_converts(tmp_path, capsys):
    torch.save(random(ADM()).state_dict(), tmp_path / "adm.pt")
    assert main(["adm", str(tmp_path / "adm.pt"), str(tmp_path / "out"), "--head_channels", "16"]) == 0
    assert "written" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/unet/config.json").read_text())["attention_head_dim"] == 16
