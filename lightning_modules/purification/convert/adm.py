"""openai/guided-diffusion (ADM; Dhariwal & Nichol 2021, arXiv 2105.05233) and openai/improved-diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from lightning_modules.purification.convert.weights import RESBLOCK_NORMS, Renaming, read_weights

SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}  # diffusers' names


def convert_adm(
    file: str,
    folder: str,
    head_channels: int = 64,
    heads: int | None = None,
    attention_order: Literal["legacy", "new"] = "legacy",
    schedule: Literal["linear", "cosine"] = "linear",
    size: int = 256,
    dropout: float = 0.0,
) -> None:
    """Convert weights of OpenAI's ADM, or of its predecessor, to a diffusers folder.

    Widths, levels, attention, learned variance and classes are read off the weights. What they do not tell are the
    options here; the defaults are those of ``256x256_diffusion_uncond.pt``.

    Args:
        file: state dict (``.pt``, ``.safetensors``), read without running code.
        folder: diffusers folder to write.
        head_channels: channels per attention head (``num_head_channels``).
        heads: attention heads (``num_heads``), in place of head_channels; only where all attention has one width.
        attention_order: layout of the joint query, key and value weights: legacy is head by head, new
            (``use_new_attention_order``, the 64 px model) all queries first.
        schedule: noise schedule of T = 1000 steps; cosine for the 64 px model.
        size: side of the pictures that the network was trained on; only diffusers' own sampling uses it.
        dropout: that of the original training, which no weight tells; it matters to a fine-tuning only.

    Raises:
        ValueError: the file cannot be read safely, holds another network, or one that no ``UNet2DModel`` equals
            (several numbers of channels per head; a first level narrower than the first convolution).
    """
    names = Renaming(file, "OpenAI's guided-diffusion", read_weights(file))
    shape = Shape.of(names)
    config = shape.config(_head_channels(file, shape, head_channels, heads))
    config |= {"sample_size": size, "dropout": dropout}
    _rename(names, shape, Splitting(attention_order, int(config["attention_head_dim"])))
    variance = "learned_range" if shape.outputs == 2 * 3 else "fixed_large"
    names.save(folder, config, {"beta_schedule": SCHEDULES[schedule], "variance_type": variance})


@dataclass(frozen=True)
class Shape:
    """What the weights tell of the architecture.

    Attributes:
        layers: residual blocks per level, R.
        widths: channels per level, finest first.
        attention: whether a level has attention.
        resampling_blocks: resolution changes inside residual blocks (``resblock_updown``), not by convolutions.
        scale_shift: the time embedding scales and shifts (``use_scale_shift_norm``).
        outputs: output channels, 6 with learned variance.
        classes: number of classes, or None.
    """

    layers: int
    widths: tuple[int, ...]
    attention: tuple[bool, ...]
    resampling_blocks: bool
    scale_shift: bool
    outputs: int
    classes: int | None

    @classmethod
    def of(cls, names: Renaming) -> Shape:
        """Read the architecture off the weights."""
        blocks = 0
        while f"output_blocks.{blocks}.0.in_layers.0.weight" in names:
            blocks += 1
        kinds = [kind for block in range(blocks) if (kind := _upsampler(names, block)) is not None]
        levels = 1 + len(kinds)
        if blocks == 0 or blocks % levels:
            raise ValueError(f"{names.file}: no weights of output blocks, expected the layout of {names.family}")
        layers = blocks // levels - 1
        firsts = [1 + level * (layers + 1) for level in range(levels)]  # block 0 is the first convolution
        width, projection = (
            names.shape(f"input_blocks.1.0.{layer}.weight")[0] for layer in ("in_layers.2", "emb_layers.1")
        )
        return cls(
            layers=layers,
            widths=tuple(names.shape(f"input_blocks.{n}.0.in_layers.2.weight")[0] for n in firsts),
            attention=tuple(f"input_blocks.{n}.1.qkv.weight" in names for n in firsts),
            resampling_blocks="conv" not in [kind.split(".")[-1] for kind in kinds],
            scale_shift=projection == 2 * width,
            outputs=names.shape("out.2.weight")[0],
            classes=names.shape("label_emb.weight")[0] if "label_emb.weight" in names else None,
        )

    def config(self, head_channels: int) -> dict[str, Any]:
        """Return the arguments of ``UNet2DModel``."""
        plain, resampling = ("Resnet{}sampleBlock2D", "resnet") if self.resampling_blocks else ("{}Block2D", "conv")

        def kind(direction: str, attention: bool) -> str:
            return f"Attn{direction}Block2D" if attention else plain.format(direction)

        return {
            "out_channels": self.outputs,
            "layers_per_block": self.layers,
            "block_out_channels": list(self.widths),
            "down_block_types": [kind("Down", here) for here in self.attention],
            "up_block_types": [kind("Up", here) for here in reversed(self.attention)],
            "downsample_type": resampling,
            "upsample_type": resampling,
            "resnet_time_scale_shift": "scale_shift" if self.scale_shift else "default",
            "attention_head_dim": head_channels,
            "norm_num_groups": RESBLOCK_NORMS,
            "attn_norm_num_groups": RESBLOCK_NORMS,  # else diffusers leaves out the norm of the middle attention
            "norm_eps": 1e-5,
            "flip_sin_to_cos": True,
            "freq_shift": 0,
            "num_class_embeds": self.classes,
        }


@dataclass(frozen=True)
class Splitting:
    """How joint query, key and value weights are parted."""

    order: Literal["legacy", "new"]
    head_channels: int

    def __call__(self, joint: Tensor) -> tuple[Tensor, ...]:
        """Part a weight ``(3C, C, 1)`` or bias ``(3C,)``."""
        flat = joint.flatten(1) if joint.ndim > 1 else joint
        if self.order == "new":
            return flat.chunk(3)
        by_head = flat.unflatten(0, (-1, 3, self.head_channels))
        return tuple(part.flatten(0, 1) for part in by_head.unbind(1))


def _upsampler(names: Renaming, block: int) -> str | None:
    """Return where the upsampler of an output block lies, behind its attention if it has one."""
    for place in (1, 2):
        if f"output_blocks.{block}.{place}.in_layers.0.weight" in names:
            return f"output_blocks.{block}.{place}"
        if f"output_blocks.{block}.{place}.conv.weight" in names:
            return f"output_blocks.{block}.{place}.conv"
    return None


def _head_channels(file: str, shape: Shape, head_channels: int, heads: int | None) -> int:
    widths = {width for width, here in zip(shape.widths, shape.attention, strict=True) if here} | {shape.widths[-1]}
    if heads is not None:
        if len(widths) > 1:
            raise ValueError(
                f"{file}: heads={heads} gives attention of widths {sorted(widths)} unlike channels per head, "
                "which diffusers' U-Net cannot express"
            )
        head_channels = max(widths) // heads
    for width in widths:
        if head_channels < 1 or width % head_channels:
            raise ValueError(f"{file}: head_channels={head_channels} does not divide the attention's width {width}")
    return head_channels


def _rename(names: Renaming, shape: Shape, splitting: Splitting) -> None:
    for old, new in (
        ("time_embed.0", "time_embedding.linear_1"),
        ("time_embed.2", "time_embedding.linear_2"),
        ("input_blocks.0.0", "conv_in"),
        ("out.0", "conv_norm_out"),
        ("out.2", "conv_out"),
    ):
        names.move(old, new)
    if shape.classes is not None:
        names.move("label_emb", "class_embedding")
    levels, per_level = len(shape.widths), shape.layers + 1
    for level in range(levels):
        for j in range(shape.layers):
            old = f"input_blocks.{1 + level * per_level + j}"
            _layer(names, old, f"down_blocks.{level}", j, shape.attention[level], splitting)
        if level < levels - 1:
            old, new = f"input_blocks.{(level + 1) * per_level}.0", f"down_blocks.{level}.downsamplers.0"
            _resampler(names, old, new, "op", shape.resampling_blocks)
        mirrored = levels - 1 - level  # output blocks start at the coarsest level, as up_blocks do
        for j in range(per_level):
            old = f"output_blocks.{level * per_level + j}"
            _layer(names, old, f"up_blocks.{level}", j, shape.attention[mirrored], splitting)
        if level < levels - 1:
            old = f"output_blocks.{level * per_level + shape.layers}.{1 + shape.attention[mirrored]}"
            _resampler(names, old, f"up_blocks.{level}.upsamplers.0", "conv", shape.resampling_blocks)
    _resblock(names, "middle_block.0", "mid_block.resnets.0")
    _attention(names, "middle_block.1", "mid_block.attentions.0", splitting)
    _resblock(names, "middle_block.2", "mid_block.resnets.1")


def _layer(names: Renaming, old: str, new: str, j: int, attention: bool, splitting: Splitting) -> None:
    _resblock(names, f"{old}.0", f"{new}.resnets.{j}")
    if attention:
        _attention(names, f"{old}.1", f"{new}.attentions.{j}", splitting)


def _resampler(names: Renaming, old: str, new: str, convolution: str, in_block: bool) -> None:
    if in_block:
        _resblock(names, old, new)
    else:
        names.move(f"{old}.{convolution}", f"{new}.conv")


def _resblock(names: Renaming, old: str, new: str) -> None:
    for layer, target in (
        ("in_layers.0", "norm1"),
        ("in_layers.2", "conv1"),
        ("emb_layers.1", "time_emb_proj"),
        ("out_layers.0", "norm2"),
        ("out_layers.3", "conv2"),
    ):
        names.move(f"{old}.{layer}", f"{new}.{target}")
    if f"{old}.skip_connection.weight" in names:
        names.move(f"{old}.skip_connection", f"{new}.conv_shortcut")


def _attention(names: Renaming, old: str, new: str, splitting: Splitting) -> None:
    names.move(f"{old}.norm", f"{new}.group_norm")
    names.move_split(f"{old}.qkv", [f"{new}.{part}" for part in ("to_q", "to_k", "to_v")], splitting)
    names.move_split(f"{old}.proj_out", [f"{new}.to_out.0"], names.as_linear)
