"""A folder of pictures at their own sizes, for work that writes a picture for each."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from lightning import LightningDataModule
from PIL import Image as PILImage
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.folder import FolderSource
from datamodules.images import read
from datamodules.source import DataError
from lightning_modules.types import Picture

ORIENTATION = 0x0112  # the EXIF tag
GROUP_PIXELS = 2**22  # a group of pictures is closed before it holds more


class MixedFolderDataModule(LightningDataModule):
    """All pictures below a folder, none resized; those of like size come together, a damaged one comes as an error.

    A picture is turned as its EXIF tag says, since the result is looked at and has no tag.

    Args:
        root: folder that is searched recursively.
        done: folder of results; a picture whose result is there, and not older, is left out. None takes all.
        group: most pictures that are handed out together.
        num_workers: loader processes.

    Raises:
        DataError: results inside the folder of pictures, or no picture per group.
    """

    def __init__(self, root: str, done: str | None = None, group: int = 16, num_workers: int = 0) -> None:
        super().__init__()
        if group < 1:
            raise DataError(f"group={group}: expected at least 1 picture")
        if done is not None and Path(done).resolve().is_relative_to(Path(root).resolve()):
            raise DataError(f"{done}: lies in {root}, where results would be taken for pictures; give another folder")
        self._root, self._done = Path(root), None if done is None else Path(done)
        self._group, self._workers = group, num_workers
        self._opened: tuple[FolderSource, PictureGroups] | None = None

    def setup(self, stage: str | None = None) -> None:
        """List the pictures and read their sizes."""
        del stage
        source = FolderSource(self._root)
        targets = result_names(source.ids)
        waiting = [row for row, target in enumerate(targets) if not self._is_done(source.ids[row], target)]
        self._opened = source, PictureGroups(self._root, source.ids, targets, waiting, self._group)

    def _is_done(self, sample_id: str, target: str) -> bool:
        if self._done is None or not (self._done / target).is_file():
            return False
        return (self._done / target).stat().st_mtime >= (self._root / sample_id).stat().st_mtime

    @property
    def groups(self) -> PictureGroups:
        """What is still to be done."""
        return self._ready[1]

    @property
    def num_pictures(self) -> int:
        """All pictures of the folder, done or not."""
        return len(self._ready[0].ids)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of every picture that is still to be done, as far as their files tell."""
        return list(self.groups.sizes.values())

    @property
    def _ready(self) -> tuple[FolderSource, PictureGroups]:
        if self._opened is None:
            raise RuntimeError("the data module is not set up yet: call setup() first")
        return self._opened

    def predict_dataloader(self) -> DataLoader:
        """Return groups of pictures, as lists."""
        return DataLoader(self.groups, batch_size=None, num_workers=self._workers)


class PictureGroups(Dataset[list[Picture]]):
    """Pictures in groups of like size; where there is none, one empty group.

    Args:
        root: the folder.
        ids: relative paths of all its pictures.
        targets: where their results go.
        rows: the pictures to hand out.
        most: pictures per group.
    """

    def __init__(self, root: Path, ids: Sequence[str], targets: Sequence[str], rows: Sequence[int], most: int) -> None:
        self._root, self._ids, self._targets = root, ids, targets
        found = {row: _size(root / ids[row]) for row in rows}
        self.sizes = {row: size for row, size in found.items() if size is not None}
        self._groups: list[list[int]] = [[]]
        pixels = 0
        for row in sorted(rows, key=lambda row: (found[row] or (0, 0), row)):
            height, width = found[row] or (0, 0)
            pixels += height * width
            if len(self._groups[-1]) == most or (self._groups[-1] and pixels > GROUP_PIXELS):
                self._groups.append([])
                pixels = height * width
            self._groups[-1].append(row)

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, number: int) -> list[Picture]:
        return [self._picture(row) for row in self._groups[number]]

    def _picture(self, row: int) -> Picture:
        path, target = self._root / self._ids[row], self._targets[row]
        try:
            return Picture(self._ids[row], _upright(read(path), _orientation(path)), target)
        except DataError as error:
            return Picture(self._ids[row], None, target, str(error))


def result_names(ids: Sequence[str]) -> list[str]:
    """Name a PNG for every picture: its own name, with its old suffix too where two differ in nothing else."""
    plain = [PurePosixPath(one).with_suffix(".png").as_posix() for one in ids]
    seen: dict[str, int] = {}
    for name in plain:
        seen[name.lower()] = seen.get(name.lower(), 0) + 1  # some file systems do not tell case
    return [name if seen[name.lower()] == 1 else f"{one}.png" for one, name in zip(ids, plain, strict=True)]


def _size(path: Path) -> tuple[int, int] | None:
    """Read height and width from the head of a file; None if it is no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PILImage.open(path) as picture:
                return (picture.height, picture.width) if _orientation(path) < 5 else (picture.width, picture.height)
    except Exception:  # Pillow lets errors of every type through; decoding will name this one
        return None


def _orientation(path: Path) -> int:
    """Read the EXIF orientation, 1 (upright) where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PILImage.open(path) as picture:
                return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged tags
        return 1


def _upright(image: Tensor, orientation: int) -> Tensor:
    """Turn and mirror a picture ``(3, H, W)`` as EXIF orientations 2 to 8 ask."""
    if orientation in (5, 6, 7, 8):
        image = image.mT
    if orientation in (3, 4, 7, 8):
        image = image.flip(-2)
    if orientation in (2, 3, 6, 7):
        image = image.flip(-1)
    return image.contiguous()
