"""Decoding and resizing of pictures; uint8 all the way, antialiased, never a silent substitute."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image as PILImage
from PIL import UnidentifiedImageError
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vF

from datamodules.source import DataError

ResizeMode = Literal["short_side", "squash"]
Backend = Literal["torchvision", "pillow"]

JPEG_START = b"\xff\xd8\xff"


def decode(data: bytes, name: str) -> Tensor:
    """Decode an encoded picture to uint8 ``(3, H, W)`` RGB.

    JPEG goes through torchvision, which is bit-identical to Pillow and several times faster; all else goes
    through Pillow, because a damaged PNG makes torchvision's decoder crash the process. An EXIF
    rotation is ignored, as by the reference implementations and their published results; alpha is dropped, 16-bit
    pictures keep their high byte, and of an animation the first frame is taken.

    Raises:
        DataError: ``data`` is no picture of a known range; ``name`` says which one it was.
    """
    if not data:
        raise DataError(f"{name}: the picture is empty (0 bytes)")
    if data.startswith(JPEG_START):
        with suppress(RuntimeError):  # Pillow has the last word, and the better message
            buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            return decode_image(buffer, mode=ImageReadMode.RGB)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of palettes; the picture is converted just below
            with PILImage.open(io.BytesIO(data)) as picture:
                picture.verify()  # the checksums of a PNG, which decoding passes over; closes the picture
            with PILImage.open(io.BytesIO(data)) as picture:
                pixels = _eight_bit(picture, picture.format)
    except UnidentifiedImageError as error:  # its own message holds an address in memory, which no two runs share
        raise DataError(f"{name}: not a readable picture (of no known format)") from error
    except Exception as error:  # Pillow lets errors of every type through for damaged files
        raise DataError(f"{name}: not a readable picture ({error})") from error
    return vF.pil_to_tensor(pixels)


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


def _eight_bit(picture: PILImage.Image, stored_as: str | None) -> PILImage.Image:
    mode = picture.mode
    if mode.startswith("I;16") or (mode == "I" and stored_as == "PNG"):  # 16 bits; convert() would clip, not scale
        return PILImage.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if mode in ("I", "F"):
        raise ValueError(f"pixels of type {mode} have no known range, store 8 or 16 bits per channel")
    return picture.convert("RGB")


@dataclass(frozen=True)
class Pixels:
    """How pictures of any size become squares.

    Attributes:
        size: side of the result in pixels.
        resize_to: side that a picture is resized to before the centre crop; the paper uses 256 before 224.
            None takes ``size``, no margin is cropped.
        mode: ``short_side`` keeps the aspect ratio and crops the centre; ``squash`` does neither.
        backend: ``torchvision`` resizes uint8 tensors, antialiased and bilinear; ``pillow`` is bit for bit what the
            reference implementations' PIL transforms do. Values differ by 1 at most where a picture is shrunk.
        cache: keep resized pictures in one memory-mapped file below ``cache_dir``; worth its disk space (0.15 MB a
            picture at 224 pixels) where large pictures are read many times on few cores. Delete the file when the
            pictures of a data set change.

    Raises:
        DataError: a side below 1 pixel, nothing to crop from, or an unknown mode or backend.
    """

    size: int = 224
    resize_to: int | None = None
    mode: ResizeMode = "short_side"
    backend: Backend = "torchvision"
    cache: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise DataError(f"pixels.size={self.size}: expected at least 1 pixel")
        if self.side < self.size:
            raise DataError(
                f"pixels.resize_to={self.resize_to} is below pixels.size={self.size}: nothing is left to crop from"
            )
        if self.mode not in ("short_side", "squash"):
            raise DataError(f"pixels.mode={self.mode!r}: expected 'short_side' or 'squash'")
        if self.backend not in ("torchvision", "pillow"):
            raise DataError(f"pixels.backend={self.backend!r}: expected 'torchvision' or 'pillow'")

    @property
    def side(self) -> int:
        """Side before the centre crop."""
        return self.size if self.resize_to is None else self.resize_to

    @property
    def facts(self) -> dict[str, object]:
        """What pixels depend on beside the picture: for cache keys."""
        return {"size": self.size, "resize_to": self.side, "mode": self.mode, "backend": self.backend}


class Resize:
    """Bring pictures to the size that ``pixels`` asks for.

    Args:
        pixels: the size, and the way to it.
    """

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        self._resize = v2.Resize(pixels.side if pixels.mode == "short_side" else [pixels.side] * 2, antialias=True)
        self._crop = v2.CenterCrop(pixels.size)

    def __call__(self, image: Tensor) -> Tensor:
        """Resize a uint8 ``(3, H, W)`` picture to uint8 ``(3, size, size)``."""
        size = self._pixels.size
        if image.shape[-2:] == (size, size) and self._pixels.side == size:
            return image
        if self._pixels.backend == "pillow":
            return vF.pil_to_tensor(self._crop(self._resize(vF.to_pil_image(image))))
        return self._crop(self._resize(image))
