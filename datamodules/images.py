"""Decoding and resizing of pictures; uint8 all the way, antialiased, never a silent substitute."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Literal

import torch
from PIL import Image as PILImage
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vF

from datamodules.source import DataError

ResizeMode = Literal["short_side", "squash"]


def decode(data: bytes, name: str) -> Tensor:
    """Decode an encoded picture to uint8 ``(3, H, W)`` RGB.

    torchvision decodes JPEG and PNG bit-identically to Pillow and faster; whatever it refuses (BMP, TIFF,
    palettes with transparency, ...) goes through Pillow.

    Raises:
        DataError: neither library can read ``data``; ``name`` says which picture it was.
    """
    if not data:
        raise DataError(f"{name}: the picture is empty (0 bytes)")
    try:
        buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return decode_image(buffer, mode=ImageReadMode.RGB)
    except RuntimeError:
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of palettes; the picture is converted just below
            picture = PILImage.open(io.BytesIO(data)).convert("RGB")
    except (OSError, ValueError, SyntaxError, PILImage.DecompressionBombError) as error:
        raise DataError(f"{name}: not a readable picture ({error})") from error
    return vF.pil_to_tensor(picture)


def read(path: Path) -> Tensor:
    """Read a picture file to uint8 ``(3, H, W)`` RGB.

    Raises:
        DataError: the file is missing or is no picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return decode(data, str(path))


class Resize:
    """Bring pictures of any size to ``size x size``.

    Args:
        size: side of the result in pixels.
        resize_to: side that the picture is resized to before the centre crop; the paper uses 256 before 224.
            Default: ``size``, no margin is cropped.
        mode: ``short_side`` keeps the aspect ratio and crops the centre; ``squash`` does neither.
    """

    def __init__(self, size: int, resize_to: int | None = None, mode: ResizeMode = "short_side") -> None:
        self.size, self.resize_to, self.mode = size, resize_to or size, mode
        if self.resize_to < size:
            raise DataError(f"resize_to={resize_to} is below image_size={size}: nothing is left to crop from")
        target: int | list[int]
        match mode:
            case "short_side":
                target = self.resize_to
            case "squash":
                target = [self.resize_to, self.resize_to]
            case _:
                raise DataError(f"resize={mode!r}: expected 'short_side' or 'squash'")
        self._resize = v2.Resize(target, antialias=True)
        self._crop = v2.CenterCrop(size)

    def __call__(self, image: Tensor) -> Tensor:
        """Resize a uint8 ``(3, H, W)`` picture to uint8 ``(3, size, size)``."""
        if image.shape[-2:] == (self.size, self.size) and self.resize_to == self.size:
            return image
        return self._crop(self._resize(image))
