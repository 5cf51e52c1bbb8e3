"""Augmentation of image tensors inside a module; several calls give several views of one batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2

from lightning_modules.configurable import Configurable


class Augmentation(nn.Module, Configurable):
    """Random crop, shift and horizontal flip, with a draw of its own for every image.

    Args:
        crop: side of a random square crop in pixels; None keeps the size.
        padding: largest shift in pixels; the border is reflected.
        flip: probability of a horizontal flip.

    Raises:
        ValueError: a crop that is not positive, a negative padding, or a probability outside [0, 1].
    """

    def __init__(self, crop: int | None = None, padding: int = 0, flip: float = 0.0) -> None:
        super().__init__()
        if crop is not None and crop < 1:
            raise ValueError(f"crop={crop}: expected a positive number of pixels, or None")
        if padding < 0:
            raise ValueError(f"padding={padding}: expected a number of pixels, 0 or more")
        if not 0 <= flip <= 1:
            raise ValueError(f"flip={flip}: expected a probability in [0, 1]")
        self.crop, self.padding, self.flip = crop, padding, flip

    def forward(self, images: Tensor, draws: Tensor | None = None) -> Tensor:
        """Augment images.

        Args:
            images: float ``(B, C, H, W)``; several pictures of one item are augmented alike as 3, 6, ... channels.
            draws: ``(B, 3)`` uniform numbers in [0, 1) that choose row, column and flip; None draws them here.

        Returns:
            float ``(B, C, H, W)``, or ``(B, C, crop, crop)``.

        Raises:
            ValueError: the crop is larger than the images, or the padding not smaller (it reflects).
        """
        height, width = images.shape[-2:]
        if self.padding >= min(height, width):
            raise ValueError(f"padding={self.padding} reflects more than the images have ({height} x {width})")
        if self.padding:
            images = F.pad(images, [self.padding] * 4, mode="reflect")
        if self.crop is not None:
            if self.crop > min(height, width):
                raise ValueError(f"crop={self.crop} is larger than the images ({height} x {width})")
            height = width = self.crop
        if draws is None:
            draws = torch.rand(len(images), 3, device=images.device)
        row, column, flip = draws.to(images.device).unbind(1)
        images = _windows(images, height, width, row, column)
        return torch.where((flip < self.flip).view(-1, 1, 1, 1), images.flip(-1), images)


def _windows(images: Tensor, height: int, width: int, row: Tensor, column: Tensor) -> Tensor:
    count, device = len(images), images.device
    slack_y, slack_x = images.shape[-2] - height, images.shape[-1] - width
    if slack_y == 0 and slack_x == 0:
        return images
    top = (row * (slack_y + 1)).long().clamp_(max=slack_y).view(-1, 1, 1)  # float32 may round up to the end
    left = (column * (slack_x + 1)).long().clamp_(max=slack_x).view(-1, 1, 1)
    rows = top + torch.arange(height, device=device).view(1, -1, 1)
    columns = left + torch.arange(width, device=device).view(1, 1, -1)
    item = torch.arange(count, device=device).view(-1, 1, 1)
    return images[item, :, rows, columns].permute(0, 3, 1, 2).contiguous()


class ContrastiveAugmentation(nn.Module, Configurable):
    """Views for contrastive learning: crop and resize, flip, colour jitter, grey, blur; each image has its own draw.

    The defaults are those of CIBHash's authors, after SimCLR (Chen et al., ICML 2020, appendix A).

    Args:
        scale: smallest share of the picture that a crop shows; it is resized to the picture's size.
        jitter: probability of the colour jitter.
        brightness: largest change of brightness, of contrast and of saturation in the jitter.
        hue: largest change of hue in the jitter.
        grey: probability of a grey picture.
        blur: probability of a 3 x 3 Gaussian blur of deviation 0.1 to 2 pixels.

    Raises:
        ValueError: a scale outside (0, 1], or a probability outside [0, 1].
    """

    def __init__(
        self,
        scale: float = 0.5,
        jitter: float = 0.7,
        brightness: float = 0.4,
        hue: float = 0.1,
        grey: float = 0.2,
        blur: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0 < scale <= 1:
            raise ValueError(f"scale={scale}: expected a share in (0, 1]")
        for name, value in {"jitter": jitter, "grey": grey, "blur": blur}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value}: expected a probability in [0, 1]")
        self.scale = scale
        self.pixels = v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(brightness, brightness, brightness, hue)], jitter),
                v2.RandomGrayscale(grey),
                v2.RandomApply([v2.GaussianBlur(3, (0.1, 2.0))], blur),
            ]
        )

    def forward(self, images: Tensor) -> Tensor:
        """Draw one view of every image.

        Args:
            images: float ``(B, 3, H, W)`` in [0, 1].

        Returns:
            float ``(B, 3, H, W)`` in [0, 1].
        """
        crop = v2.RandomResizedCrop(images.shape[-2:], scale=(self.scale, 1.0), antialias=True)
        return torch.stack([self.pixels(crop(image)) for image in images])
