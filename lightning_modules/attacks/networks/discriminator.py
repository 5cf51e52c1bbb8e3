"""The discriminator of ProS-GAN and TA-DCH: which classes, and real or fake."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lightning_modules.attacks.networks.generator import halvings


class ClassDiscriminator(nn.Module):
    """StarGAN-like: strided, spectrally normalised convolutions, then one convolution over all that is left.

    At 224 px five convolutions end at 7x7, as published; at other sizes as many as halve the side evenly to no less
    than 4 px, at most five (32 px: three, ending at 4x4). The last convolution is not normalised. The authors'
    spectral norm also iterates in eval mode, torch's only in training; a discriminator is used in training only.

    Args:
        num_classes: C; the last output is the fake flag.
        image_size: side of the pictures.
        channels: channels of the first layer; published: 64.

    Raises:
        ValueError: a side that cannot be halved once to 4 px or more.
    """

    def __init__(self, num_classes: int, image_size: int = 224, channels: int = 64) -> None:
        super().__init__()
        stages = halvings(image_size, least=4, most=5)
        if stages == 0:
            raise ValueError(f"image_size={image_size}: expected an even side of at least 8")
        layers: list[nn.Module] = []
        for stage in range(stages):
            before, after = (3 if stage == 0 else channels << (stage - 1)), channels << stage
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.01)]
        self.main = nn.Sequential(*layers)
        self.fc = nn.Conv2d(channels << (stages - 1), num_classes + 1, image_size >> stages, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 3, H, W)`` in [-1, 1] to ``(B, C + 1)``: class scores, then the fake flag."""
        return self.fc(self.main(images)).flatten(1)
