"""The generator of ProS-GAN: an image and the semantics of a target label to an adversarial image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_modules.attacks.networks.prototype import SEMANTIC


def halvings(size: int, least: int, most: int) -> int:
    """Count how often a side can be halved: at most ``most`` times, evenly, and to no less than ``least`` pixels."""
    count = 0
    while count < most and size % 2 == 0 and size // 2 >= least:
        size //= 2
        count += 1
    return count


class ResidualBlock(nn.Module):
    """``x + IN(conv(ReLU(IN(conv(x)))))`` with 3x3 convolutions; no bias, no affine normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        return x + self.main(x)


class LabelEncoder(nn.Module):
    """The decoder D_t of ProS-GAN: semantics to a picture that is laid beside the image.

    A linear layer makes ``(128, s, s)``, transposed convolutions double the side and halve the channels. At 224 px
    ``s`` is 14 and there are four of them, as published; at other sizes as many as halve the side evenly to no
    less than 8 px, at most four (32 px: two from 8; 64 px: three from 8; 96 px: three from 12).

    Args:
        image_size: side of the pictures.
        channels: channels of the first map.
    """

    def __init__(self, image_size: int, channels: int = 128) -> None:
        super().__init__()
        stages = halvings(image_size, least=8, most=4)
        self.shape = (channels, image_size >> stages, image_size >> stages)
        self.fc = nn.Sequential(nn.Linear(SEMANTIC, channels * self.shape[1] ** 2), nn.ReLU())
        layers: list[nn.Module] = []
        for _ in range(stages):
            layers += up(channels)
            channels //= 2
        self.transform = nn.Sequential(*layers, nn.Conv2d(channels, 3, 3, padding=1, bias=False))

    def forward(self, semantic: Tensor) -> Tensor:
        """Map r_t ``(B, 512)`` to ``(B, 3, image_size, image_size)``."""
        return self.transform(self.fc(semantic).unflatten(1, self.shape))


class ProSGANGenerator(nn.Module):
    """Encoder, six residual blocks, decoder, and a last convolution that sees the image again.

    Wang et al., CVPR 2021; at 224 px exactly the published network. It is fully convolutional but for
    the label encoder.

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
        self.image_size = image_size
        self.label_encoder = LabelEncoder(image_size)
        wide = 4 * channels
        first = [nn.Conv2d(6, channels, 7, padding=3), nn.InstanceNorm2d(channels), nn.ReLU()]
        self.image_encoder = nn.Sequential(
            *first, *down(channels), *down(2 * channels), *(ResidualBlock(wide) for _ in range(3))
        )
        self.decoder = nn.Sequential(*(ResidualBlock(wide) for _ in range(3)), *up(wide), *up(2 * channels))
        self.residual = nn.Sequential(nn.Conv2d(channels + 3, 3, 3, padding=1, bias=False), nn.Tanh())

    def forward(self, images: Tensor, semantic: Tensor) -> Tensor:
        """Make adversarial images.

        Args:
            images: float ``(B, 3, H, W)`` in [-1, 1].
            semantic: r_t of the target labels, float ``(B, 512)``.

        Returns:
            float ``(B, 3, H, W)`` in (-1, 1); nothing but training keeps it near the image.
        """
        mixed = torch.cat([self.label_encoder(semantic), images], dim=1)
        decoded = self.decoder(self.image_encoder(mixed))
        return self.residual(torch.cat([decoded, images], dim=1))


def down(channels: int) -> list[nn.Module]:
    """Return layers that halve the side and double the channels."""
    convolution = nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1)
    return [convolution, nn.InstanceNorm2d(2 * channels), nn.ReLU()]


def up(channels: int) -> list[nn.Module]:
    """Return layers that double the side and halve the channels."""
    convolution = nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1, bias=False)
    return [convolution, nn.InstanceNorm2d(channels // 2), nn.ReLU()]
