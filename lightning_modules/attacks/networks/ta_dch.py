"""The generator of TA-DCH: an image and a map of target semantics to an adversarial image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.attacks.networks.fusion import SEMANTIC_CHANNELS
from lightning_modules.attacks.networks.generator import ResidualBlock, down, up

PASSED = 1.2
"""Weight of a pixel that passes the last tanh: of all factors a, ``tanh(a x)`` comes nearest to x in [-1, 1] here."""
PUBLISHED_STAGES = ((SEMANTIC_CHANNELS, 48, 3, 1, 2), (48, 12, 6, 4, 1), (12, 1, 6, 4, 1))
"""Channels before and after, kernel, stride, padding."""


class SemanticTranslator(nn.Module):
    """Semantics ``(B, 64, 16, 16)`` to one channel beside the image: 16 -> 14 -> 56 -> 224 px.

    At other sizes the map of 224 px is resized (bilinear, antialiased) before its last normalisation, so that it is as
    strong beside the image as at 224 px, where this is the published network.
    """

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        layers: list[nn.Module] = []
        for before, after, kernel, stride, padding in PUBLISHED_STAGES:
            convolution = nn.ConvTranspose2d(before, after, kernel, stride, padding, bias=False)
            layers += [convolution, nn.InstanceNorm2d(after), nn.ReLU()]
        self.transform = nn.Sequential(*layers)

    def forward(self, semantic: Tensor) -> Tensor:
        """Map ``(B, 64, 16, 16)`` to ``(B, 1, image_size, image_size)``."""
        drawn = self.transform[:-2](semantic)
        if drawn.shape[-1] != self.image_size:
            size = (self.image_size, self.image_size)
            drawn = F.interpolate(drawn.float(), size, mode="bilinear", align_corners=False, antialias=True)
        return self.transform[-2:](drawn)


class TADCHGenerator(nn.Module):
    """Encoder, six residual blocks and decoder, with skips (Wang et al., TCSVT 2023).

    At 224 px exactly the network of the authors' code, where the last normalisation is declared for 64 channels and
    meets 3, which without weights makes no difference.

    Args:
        image_size: side of the pictures, a multiple of 4.
        channels: channels of the first layer; published: 64.

    Raises:
        ValueError: a side that two halvings do not divide, or one below 8.
    """

    def __init__(self, image_size: int = 224, channels: int = 64) -> None:
        super().__init__()
        if image_size % 4 or image_size < 8:
            raise ValueError(f"image_size={image_size}: the generator halves pictures twice, expected 8, 12, 16, ...")
        self.translator = SemanticTranslator(image_size)
        c = channels
        self.preprocess = nn.Sequential(nn.Conv2d(6, c, 7, padding=3), nn.InstanceNorm2d(c), nn.ReLU())
        self.firstconv, self.secondconv = nn.Sequential(*down(c)), nn.Sequential(*down(2 * c))
        self.residualblock = nn.Sequential(*(ResidualBlock(4 * c) for _ in range(6)))
        self.firstconvtrans = nn.Sequential(*up(4 * c))
        self.secondconvtrans = nn.Sequential(*_merge(4 * c, 2 * c), *up(2 * c))
        self.process = nn.Sequential(*_merge(2 * c, c), *_merge(c, 3))
        self.residual = nn.Sequential(nn.Conv2d(6, 3, 3, padding=1, bias=False), nn.Tanh())

    @torch.no_grad()
    def pass_images(self) -> None:
        """Set the last convolution to let images through, nearly unchanged.

        What it reads of the image becomes the pixel itself; its weights of the decoded map stay, a tenth as large. An
        untrained generator then returns images with some contrast and noise added, which a hasher can read, where
        that of the published start returns noise, and little can be learned of the hasher until it draws images.
        """
        weight = next(layer.weight for layer in self.residual if isinstance(layer, nn.Conv2d))
        weight[:, 3:] *= 0.1
        weight[:, :3] = 0
        weight[:, :3, 1, 1] = PASSED * torch.eye(3)

    def forward(self, images: Tensor, semantic: Tensor) -> Tensor:
        """Make adversarial images.

        Args:
            images: float ``(B, 3, H, W)`` in [-1, 1].
            semantic: fused semantics of the targets, float ``(B, 64, 16, 16)``.

        Returns:
            float ``(B, 3, H, W)`` in (-1, 1); nothing but training keeps it near the image.
        """
        drawn = self.translator(semantic)
        interleaved = torch.stack([images, drawn.to(images).expand_as(images)], dim=2).flatten(1, 2)  # R m G m B m
        full = self.preprocess(interleaved)
        half = self.firstconv(full)
        decoded = self.firstconvtrans(self.residualblock(self.secondconv(half)))
        decoded = self.secondconvtrans(torch.cat([half, decoded], dim=1))
        decoded = self.process(torch.cat([full, decoded], dim=1))
        return self.residual(torch.cat([images, decoded], dim=1))


def _merge(before: int, after: int) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    return [convolution, nn.InstanceNorm2d(after), nn.ReLU()]
