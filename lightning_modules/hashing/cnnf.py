"""CNN-F (Chatfield et al., BMVC 2014): the frozen image extractor of DCMH, DGCPN, DADH and TA-DCH."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.hashing.backbones import Backbone
from lightning_modules.hashing.matconvnet import MatConvNet, read_matconvnet

LRN = Literal["matconvnet", "repo"]
SIZE = 224
# name: (channels in, channels out, kernel, stride, padding)
CONVOLUTIONS = {
    "conv1": (3, 64, 11, 4, 0),
    "conv2": (64, 256, 5, 1, 2),
    "conv3": (256, 256, 3, 1, 1),
    "conv4": (256, 256, 3, 1, 1),
    "conv5": (256, 256, 3, 1, 1),
    "fc6": (256, 4096, 6, 1, 0),
    "fc7": (4096, 4096, 1, 1, 0),
}


class CNNF(Backbone):
    """CNN-F up to the ReLU of ``fc7``: 4,096 non-negative features.

    Pictures in [0, 1] of any size go in; resizing to 224, the scale 0..255 and the average image are inside, so that
    an attack sees through them.

    Args:
        weights: MatConvNet's ``imagenet-vgg-f.mat``; None leaves random weights, for a checkpoint to replace.
        lrn: local response normalisation: ``matconvnet`` over 5 channels, as the network was trained
            (kappa 2, alpha 1e-4 per channel, beta 0.75); ``repo`` over 2 channels, as the repositories of DGCPN,
            DADH and TA-DCH read the same parameters. Networks trained by them need ``repo``.
        pool1_padding: pad the first pooling by one more pixel all around, as DADH's copy does; its released networks
            need it.
        spatial_transpose: transpose filters and average image in space, as loaders do that reverse all axes. Right
            only if pictures are stored transposed too.

    Raises:
        ValueError: an unknown option, or a file that holds no CNN-F.
    """

    mean: Tensor
    num_features = 4096

    def __init__(
        self,
        weights: str | None = None,
        lrn: LRN = "matconvnet",
        pool1_padding: bool = False,
        spatial_transpose: bool = False,
    ) -> None:
        super().__init__()
        if lrn not in ("matconvnet", "repo"):
            raise ValueError(f"lrn={lrn!r}: expected 'matconvnet' or 'repo'")
        for name, (inputs, outputs, kernel, stride, padding) in CONVOLUTIONS.items():
            self.add_module(name, nn.Conv2d(inputs, outputs, kernel, stride, padding))
        # PyTorch divides alpha by the number of channels, MatConvNet does not.
        size, alpha = (5, 5 * 1e-4) if lrn == "matconvnet" else (2, 1e-4)
        self.norm = nn.LocalResponseNorm(size, alpha=alpha, beta=0.75, k=2.0)
        self.pool1_padding = pool1_padding
        self.register_buffer("mean", torch.zeros(3, SIZE, SIZE))
        if weights is not None:
            self._load(read_matconvnet(weights), weights)
        if spatial_transpose:
            self._transpose()

    @property
    def architecture(self) -> dict[str, Any]:
        """The spec without the file; its weights are stored as they are used, transposed or not."""
        return self.spec | {"init_args": self.spec["init_args"] | {"weights": None, "spatial_transpose": False}}

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images float ``(B, 3, H, W)`` in [0, 1] to features ``(B, 4096)``."""
        if inputs.shape[-2:] != (SIZE, SIZE):
            inputs = F.interpolate(inputs, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
        return self.stages(255 * inputs - self.mean)["fc7"].flatten(1)

    def stages(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return the output of every stage.

        Args:
            pixels: float ``(B, 3, 224, 224)``, 0..255 minus the average image.
        """
        conv: Any = self
        out = {"conv1": self.norm(F.relu(conv.conv1(pixels)))}
        padded = F.pad(out["conv1"], (0, 1, 0, 1))  # right and below, as MatConvNet does
        out["pool1"] = F.max_pool2d(padded, 3, 2, padding=int(self.pool1_padding))
        out["conv2"] = self.norm(F.relu(conv.conv2(out["pool1"])))
        out["pool2"] = F.max_pool2d(out["conv2"], 3, 2)
        out["conv3"] = F.relu(conv.conv3(out["pool2"]))
        out["conv4"] = F.relu(conv.conv4(out["conv3"]))
        out["conv5"] = F.relu(conv.conv5(out["conv4"]))
        out["pool5"] = F.max_pool2d(out["conv5"], 3, 2)
        out["fc6"] = F.relu(conv.fc6(out["pool5"]))
        out["fc7"] = F.relu(conv.fc7(out["fc6"]))
        return out

    @torch.no_grad()
    def _load(self, network: MatConvNet, path: str) -> None:
        for name in CONVOLUTIONS:
            layer: Any = self.get_submodule(name)
            found = network.convolutions.get(name)
            if found is None or found.filters.shape != layer.weight.shape or found.biases.shape != layer.bias.shape:
                shape = None if found is None else tuple(found.filters.shape)
                raise ValueError(
                    f"weights={path!r}: layer {name!r} has filters {shape}, expected {tuple(layer.weight.shape)}"
                )
            layer.weight.copy_(found.filters)
            layer.bias.copy_(found.biases)
        if network.mean.shape not in ((3, SIZE, SIZE), (3, 1, 1)):
            raise ValueError(
                f"weights={path!r}: the average image is {tuple(network.mean.shape)}, expected 3 x 224 x 224"
            )
        self.mean.copy_(network.mean)

    @torch.no_grad()
    def _transpose(self) -> None:
        self.mean.copy_(self.mean.mT.clone())
        for name in CONVOLUTIONS:
            layer: Any = self.get_submodule(name)
            layer.weight.copy_(layer.weight.mT.clone())
