"""How many bits of codes change when the purifier's network computes in bfloat16 or float16.

Not a time: the price of one. Generated scenes of 32 px; without arguments the networks have random weights, whose
figure says little of trained ones: ``python -m benchmarks.bit_flips --model FOLDER --hasher CHECKPOINT``.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.guided_step import make_diffusion
from benchmarks.timing import machine
from datamodules.scenes.render import render_scene
from lightning_modules.hashing import HashingModule, TimmBackbone
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.purification import Diffusion, DiffusionPurifier
from lightning_modules.types import binarize

PICTURES, SIDE, BITS = 32, 32, 32


def random_encoder() -> nn.Module:
    layers = {"layers": [1, 1, 1, 1], "channels": [32, 64, 128, 256]}
    return HashEncoder(TimmBackbone("resnet18", small_input=True, model_args=layers), BITS)


def trained_encoder(checkpoint: str) -> nn.Module:
    return HashingModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).image_encoder


def scenes() -> tuple[Tensor, list[str]]:
    ids = [f"scene-{number}" for number in range(PICTURES)]
    images = torch.stack([torch.from_numpy(render_scene(0, name, SIDE).image) for name in ids])
    return images.permute(0, 3, 1, 2).float() / 255, ids


@torch.no_grad()
def run(model: str | None = None, hasher: str | None = None) -> list[dict[str, Any]]:
    """Return, per precision, the share of flipped bits; beside it that of another draw of the purifier's noise."""
    torch.manual_seed(0)
    diffusion = make_diffusion() if model is None else Diffusion.from_pretrained(model)
    encoder = (random_encoder() if hasher is None else trained_encoder(hasher)).eval()
    images, ids = scenes()

    def codes(precision: str, draw: int = 0) -> Tensor:
        return binarize(encoder(DiffusionPurifier(diffusion, precision=precision)(images, ids, draw)))

    exact = codes("float32")
    draw = float((codes("float32", draw=1) != exact).float().mean())
    return [
        {
            "name": f"bits that {precision} flips",
            "ratio": round(float((codes(precision) != exact).float().mean()), 5),
            "by_another_draw": round(draw, 5),
            "bits": exact.numel(),
            "trained": model is not None and hasher is not None,
            **machine(),
        }
        for precision in ("bfloat16", "float16")
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="diffusers folder or Hub id")
    parser.add_argument("--hasher", help="checkpoint of train.py fit")
    options = parser.parse_args()
    for figure in run(options.model, options.hasher):
        print(json.dumps(figure))
