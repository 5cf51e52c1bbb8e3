"""GPU hours of the paper's plans, from the operations that they take: ``python -m benchmarks.paper_hours --tflops 30``.

    hours = sum over stages of images x passes x operations of a pass / (3.6e15 x tflops)

Operations are counted by torch's FlopCounterMode on the networks themselves, without weights or data; a multiplication
and an addition are two. Images, iterations and epochs are the paper's. ``--tflops`` is what a device sustains on such
networks in the precision that is used: a fraction of the number on its data sheet.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import timm
import torch
import torchvision
from diffusers import UNet2DModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lightning_modules.attacks.networks import ClassDiscriminator, ProSGANGenerator, TADCHGenerator

SIDE = 224
STEPS = 45
# Queries, database and training items: Tables 5 and 6 of the paper, with TA-DCH's 2,000 queries of MS-COCO.
UNI = {"FLICKR-25K": (1700, 23300, 5000), "MS-COCO": (5000, 117218, 10000), "NUS-WIDE": (2100, 193734, 10500)}
CROSS = {
    "WIKI": (693, 2173, 2173),
    "IAPR": (2000, 18000, 5000),
    "FLICKR-25K": (2000, 18015, 5000),
    "MS-COCO": (2000, 121287, 10000),
    "NUS-WIDE": (2100, 193734, 10500),
}
HASHERS = 2  # per data set
EPOCHS, PROS_GAN_EPOCHS, TA_DCH_EPOCHS = 100, 100, 150


def operations(network: Callable[..., object], *inputs: Tensor) -> float:
    """Count the operations of one forward pass."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return float(counter.get_total_flops())


def adm() -> nn.Module:
    """The unconditional network of Dhariwal and Nichol (2021) for 256 x 256 pictures."""
    widths = (256, 256, 512, 512, 1024, 1024)
    down = ("ResnetDownsampleBlock2D",) * 3 + ("AttnDownBlock2D",) * 3
    up = ("AttnUpBlock2D",) * 3 + ("ResnetUpsampleBlock2D",) * 3
    return UNet2DModel(
        sample_size=256,
        out_channels=6,
        layers_per_block=2,
        block_out_channels=widths,
        down_block_types=down,
        up_block_types=up,
        attention_head_dim=64,
        downsample_type="resnet",
        upsample_type="resnet",
        resnet_time_scale_shift="scale_shift",
        attn_norm_num_groups=32,
    )


def passes() -> dict[str, float]:
    """Return the operations of one picture through each network."""
    with torch.device("meta"):
        image = torch.empty(1, 3, SIDE, SIDE)
        return {
            "VGG-11": operations(timm.create_model("vgg11", num_classes=32).eval(), image),
            "CNN-F": operations(torchvision.models.alexnet().eval(), image),  # of the same depth and about its width
            "ADM": operations(adm().eval(), image, torch.zeros(1)),
            "ProS-GAN": operations(ProSGANGenerator(SIDE), image, torch.empty(1, 512)),
            "TA-DCH": operations(TADCHGenerator(SIDE), image, torch.empty(1, 64, 16, 16)),
            "discriminator": operations(ClassDiscriminator(80, SIDE), image),
        }


def uni_modal(cost: dict[str, float]) -> dict[str, float]:
    """Return the operations of the uni-modal stages, over all data sets and hashers."""
    queries, database, train = (HASHERS * sum(sizes[part] for sizes in UNI.values()) for part in range(3))
    generator = 3 * cost["ProS-GAN"] + 2 * cost["VGG-11"] + 3 * cost["discriminator"]
    return {
        "training of hashers": 3 * EPOCHS * train * cost["VGG-11"],
        "training of ProS-GAN": PROS_GAN_EPOCHS * train * generator,
        "database codes": database * cost["VGG-11"],
        "P2P and DHTA": (500 + 2000) * queries * 2 * cost["VGG-11"],
        "purification of a row": STEPS * queries * cost["ADM"],
    }


def cross_modal(cost: dict[str, float]) -> dict[str, float]:
    """Return the operations of the cross-modal stages, over all data sets and hashers; layers on features are free."""
    queries, database, train = (HASHERS * sum(sizes[part] for sizes in CROSS.values()) for part in range(3))
    generator = 3 * cost["TA-DCH"] + 2 * cost["CNN-F"] + 3 * cost["discriminator"]
    return {
        "features": (train + database) * cost["CNN-F"],
        "training of TA-DCH": TA_DCH_EPOCHS * train * generator,
        "purification of a row": STEPS * queries * cost["ADM"],
    }


def plans(uni: dict[str, float], cross: dict[str, float]) -> dict[str, float]:
    """Return the operations of the plans, each after those before it, whose stages it finds in the store."""
    row, both = uni["purification of a row"], cross["purification of a row"]
    wiki = both * CROSS["WIKI"][0] / sum(sizes[0] for sizes in CROSS.values()) / HASHERS
    swept = 5 + 15 + 30 + 60 + 90 + 130 + 178  # steps of Figure 2 beside T_p = 45
    return {
        "table1": sum(uni.values()) + 7 * row,  # clean and three attacks, each by two chains; one row stands in the sum
        "table7": 0.0,
        "mixed": uni["P2P and DHTA"] / 2 + 6 * row,
        "table2, table3": sum(cross.values()) + 3 * both,
        "table8, table9": 0.0,
        "table4": 4 * wiki,  # clean and attacked, by two chains with MSE
        "figure2": 2 * swept / STEPS * wiki,
    }


def main() -> None:
    """Print one JSON line per stage, and the sums of the plans."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflops", type=float, required=True, help="sustained, in units of 10^12 operations a second")
    tflops = parser.parse_args().tflops

    def hours(count: float) -> float:
        return round(count / (3.6e15 * tflops), 2)

    cost = passes()
    for network, count in cost.items():
        print(json.dumps({"network": network, "gflop": round(count / 1e9, 1)}))
    uni, cross = uni_modal(cost), cross_modal(cost)
    for task, stages in (("uni-modal", uni), ("cross-modal", cross)):
        for stage, count in stages.items():
            print(json.dumps({"task": task, "stage": stage, "hours": hours(count)}))
    for plan, count in plans(uni, cross).items():
        print(json.dumps({"plan": plan, "hours": hours(count)}))


if __name__ == "__main__":
    main()
