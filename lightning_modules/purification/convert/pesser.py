"""pesser/pytorch_diffusion: PyTorch ports of the DDPMs of Ho et al. (2020), CIFAR-10, CelebA-HQ and LSUN.

GDMP's CIFAR-10 network, DiffPure's CelebA-HQ network and ermongroup/ddim use the same layout.
"""

from __future__ import annotations

from itertools import count, takewhile
from typing import Literal

from lightning_modules.purification.convert.weights import RESBLOCK_NORMS, Renaming, read_weights


def convert_pesser(
    file: str,
    folder: str,
    size: int = 32,
    variance: Literal["fixed_small", "fixed_large"] = "fixed_large",
    dropout: float = 0.0,
) -> None:
    """Convert weights in the layout of pesser/pytorch_diffusion to a diffusers folder.

    The architecture is read off the weights; the chain is the linear one of Ho et al. with T = 1000.

    Args:
        file: state dict (``.ckpt``, ``.pth``, ``.safetensors``), read without running code.
        folder: diffusers folder to write.
        size: side of the pictures that the network was trained on; only diffusers' own sampling uses it.
        variance: reverse variance noted for diffusers' sampling; Ho et al. used fixed_large for CIFAR-10, fixed_small
            for 256 px.
        dropout: that of the original training, which no weight tells (0.1 for CIFAR-10, else 0); it matters to a
            fine-tuning only.

    Raises:
        ValueError: the file cannot be read safely, or holds another network.
    """
    names = Renaming(file, "pesser/pytorch_diffusion", read_weights(file))
    levels = _count(names, "down.{}.block.0.conv1.weight")
    layers = _count(names, "down.0.block.{}.conv1.weight")
    if not levels or "conv_in.weight" not in names:
        raise ValueError(f"{file}: no weights 'conv_in' and 'down.0.block.0', expected the layout of {names.family}")
    widths = [names.shape(f"down.{level}.block.0.conv1.weight")[0] for level in range(levels)]
    attention = [f"down.{level}.attn.0.q.weight" in names for level in range(levels)]
    outputs = names.shape("conv_out.weight")[0]
    _rename(names, levels, layers, attention)
    config = {
        "sample_size": size,
        "out_channels": outputs,
        "layers_per_block": layers,
        "block_out_channels": widths,
        "down_block_types": ["AttnDownBlock2D" if here else "DownBlock2D" for here in attention],
        "up_block_types": ["AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attention)],
        "downsample_padding": 0,  # one row and column at the far sides only
        "attention_head_dim": None,  # a single head
        "norm_num_groups": RESBLOCK_NORMS,
        "norm_eps": 1e-6,
        "freq_shift": 1,
        "flip_sin_to_cos": False,
        "dropout": dropout,
    }
    names.save(folder, config, {"variance_type": variance})


def _count(names: Renaming, pattern: str) -> int:
    return len(list(takewhile(lambda number: pattern.format(number) in names, count())))


def _rename(names: Renaming, levels: int, layers: int, attention: list[bool]) -> None:
    names.move("temb.dense.0", "time_embedding.linear_1")
    names.move("temb.dense.1", "time_embedding.linear_2")
    for old, new in (("conv_in", "conv_in"), ("norm_out", "conv_norm_out"), ("conv_out", "conv_out")):
        names.move(old, new)
    for level in range(levels):
        mirrored = levels - 1 - level  # up.0 is the finest level there, the last block here
        for j in range(layers):
            _resblock(names, f"down.{level}.block.{j}", f"down_blocks.{level}.resnets.{j}")
            if attention[level]:
                _attention(names, f"down.{level}.attn.{j}", f"down_blocks.{level}.attentions.{j}")
        for j in range(layers + 1):
            _resblock(names, f"up.{level}.block.{j}", f"up_blocks.{mirrored}.resnets.{j}")
            if attention[level]:
                _attention(names, f"up.{level}.attn.{j}", f"up_blocks.{mirrored}.attentions.{j}")
        if level < levels - 1:
            names.move(f"down.{level}.downsample.conv", f"down_blocks.{level}.downsamplers.0.conv")
        if level > 0:
            names.move(f"up.{level}.upsample.conv", f"up_blocks.{mirrored}.upsamplers.0.conv")
    _resblock(names, "mid.block_1", "mid_block.resnets.0")
    _attention(names, "mid.attn_1", "mid_block.attentions.0")
    _resblock(names, "mid.block_2", "mid_block.resnets.1")


def _resblock(names: Renaming, old: str, new: str) -> None:
    for layer in ("norm1", "conv1", "norm2", "conv2"):
        names.move(f"{old}.{layer}", f"{new}.{layer}")
    names.move(f"{old}.temb_proj", f"{new}.time_emb_proj")
    if f"{old}.nin_shortcut.weight" in names:
        names.move(f"{old}.nin_shortcut", f"{new}.conv_shortcut")


def _attention(names: Renaming, old: str, new: str) -> None:
    names.move(f"{old}.norm", f"{new}.group_norm")
    for layer, target in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
        names.move_split(f"{old}.{layer}", [f"{new}.{target}"], names.as_linear)
