"""The network behind its contract, and loading of every layout that diffusers models come in."""

import json
import shutil

import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMPipeline, DDPMScheduler
from safetensors.torch import load_file, save_file
from torch import nn

from lightning_modules.purification import Denoiser, Diffusion, DiffusionSchedule

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(make_unet, tmp_path):
    DDPMPipeline(unet=make_unet(3), scheduler=DDPMScheduler()).save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(path, change):
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def random_images(*size):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


# The contract


def test_noise_is_that_of_the_network(make_unet):
    unet, x, t = make_unet(), random_images(16, 16), torch.tensor([0, 44])
    assert torch.equal(Denoiser(unet)(x, t), unet(x, t).sample)


@pytest.mark.parametrize("size", [(17, 21), (15, 16), (16, 11)])
def test_sides_that_cannot_be_halved_are_reflected_and_cropped(make_unet, size):
    unet, x, t = make_unet(), random_images(*size), torch.tensor([44, 44])
    noise = Denoiser(unet)(x, t)
    assert noise.shape == x.shape
    bottom, right = size[0] % 2, size[1] % 2
    by_hand = torch.cat([x, x[:, :, -2:-1]], dim=2) if bottom else x
    by_hand = torch.cat([by_hand, by_hand[..., -2:-1]], dim=3) if right else by_hand
    assert torch.equal(noise, unet(by_hand, t).sample[..., : size[0], : size[1]])


def test_deeper_networks_are_padded_further(make_unet):
    unet = make_unet(
        block_out_channels=[4, 4, 8], down_block_types=["DownBlock2D"] * 3, up_block_types=["UpBlock2D"] * 3
    )
    x, t = random_images(17, 18), torch.tensor([44, 44])
    expected = unet(F.pad(x, (0, 2, 0, 3), mode="reflect"), t).sample[..., :17, :18]
    assert torch.equal(Denoiser(unet)(x, t), expected)


def test_of_six_outputs_the_first_three_are_the_noise(make_unet):
    unet, x, t = make_unet(out_channels=6), random_images(16, 16), torch.tensor([0, 44])
    assert torch.equal(Denoiser(unet)(x, t), unet(x, t).sample[:, :3])


def test_the_noise_has_the_dtype_of_the_image(make_unet):
    with torch.autocast("cpu", torch.bfloat16):
        assert Denoiser(make_unet())(random_images(16, 16), torch.tensor([0, 44])).dtype == torch.float32


# Loading


def assert_same_network(loaded, unet):
    weights = dict(unet.state_dict())
    assert loaded.state_dict().keys() == weights.keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_a_saved_pipeline_loads(folder, make_unet):
    diffusion = Diffusion.from_pretrained(str(folder))
    assert_same_network(diffusion.denoiser.unet, make_unet(3))
    torch.testing.assert_close(diffusion.schedule.betas, DiffusionSchedule.linear().betas, rtol=1e-5, atol=0)
    assert diffusion.schedule.betas.dtype == torch.float64
    assert torch.equal(diffusion.schedule.timesteps, torch.arange(1000))


def test_a_cosine_schedule_is_taken_from_the_folder(folder):
    edit_json(folder / "scheduler" / "scheduler_config.json", beta_schedule="squaredcos_cap_v2", num_train_timesteps=64)
    betas = Diffusion.from_pretrained(str(folder)).schedule.betas
    expected = DDPMScheduler(num_train_timesteps=64, beta_schedule="squaredcos_cap_v2").betas
    assert torch.equal(betas, expected.double())


@pytest.fixture
def hub_copy(make_unet, tmp_path):
    """A small net in the layout, with the settings and weight names, of google/ddpm-cifar10-32: all files flat."""
    unet = make_unet(
        4,
        down_block_types=["DownBlock2D", "AttnDownBlock2D"],
        up_block_types=["AttnUpBlock2D", "UpBlock2D"],
        layers_per_block=2,
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
        add_attention=True,
    )
    folder = tmp_path / "ddpm-cifar10-32"
    unet.save_pretrained(folder)
    DDPMScheduler(variance_type="fixed_large").save_pretrained(folder)
    index = {"_class_name": "DDPMPipeline", "_diffusers_version": "0.1.1"}
    parts = {"scheduler": ["diffusers", "DDPMScheduler"], "unet": ["diffusers", "UNet2DModel"]}
    (folder / "model_index.json").write_text(json.dumps(index | parts))

    old_names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(weights):
        for name in [name for name in weights if "attentions" in name]:
            old = name
            for new_part, old_part in old_names.items():
                old = old.replace(new_part, old_part)
            weights[old] = weights.pop(name)

    edit_weights(folder / WEIGHTS, rename)
    return folder, unet


def test_a_local_copy_of_a_flat_hub_folder_loads(hub_copy):
    folder, unet = hub_copy
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json",
        WEIGHTS,
        "model_index.json",
        "scheduler_config.json",
    ]
    diffusion = Diffusion.from_pretrained(str(folder))
    assert_same_network(diffusion.denoiser.unet, unet)
    assert len(diffusion.schedule) == 1000


# Errors


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        Diffusion.from_pretrained(str(path))
    assert str(path) in str(caught.value)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no model")
    refused(tmp_path, "is no diffusers model: expected a Hub id, or a folder saved by DDPMPipeline")


@pytest.mark.parametrize("name", ["unet/config.json", f"unet/{WEIGHTS}"])
def test_a_folder_without_its_network_is_refused(folder, name):
    (folder / name).unlink()
    refused(folder, "is no diffusers model")


def test_another_network_is_refused(folder):
    edit_json(folder / "unet" / "config.json", block_out_channels=[8, 16])
    refused(folder, "is no diffusers model")


def test_a_broken_weight_file_is_refused(folder):
    (folder / "unet" / WEIGHTS).write_bytes(b"not safetensors")
    refused(folder, "is no diffusers model")


def test_a_missing_scheduler_is_named(folder):
    shutil.rmtree(folder / "scheduler")
    refused(folder, "has no scheduler_config.json")


def test_a_network_that_predicts_no_noise_is_refused(folder):
    edit_json(folder / "scheduler" / "scheduler_config.json", prediction_type="v_prediction")
    refused(folder, "predicts 'v_prediction', expected 'epsilon'")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(folder, value):
    edit_weights(folder / "unet" / WEIGHTS, lambda weights: weights["conv_out.bias"].fill_(value))
    refused(folder, "weight 'conv_out.bias' holds NaN or infinite")


def test_missing_weights_are_named_and_not_drawn_at_random(folder):
    edit_weights(folder / "unet" / WEIGHTS, lambda weights: weights.pop("conv_out.bias"))
    refused(folder, "the weights lack 'conv_out.bias'")


def test_the_denoiser_is_a_module_with_its_network_inside(make_unet):
    denoiser = Denoiser(make_unet())
    assert isinstance(denoiser, nn.Module)
    assert len(list(denoiser.parameters())) == len(list(denoiser.unet.parameters()))
