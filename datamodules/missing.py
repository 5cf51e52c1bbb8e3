"""Pictures that are listed but not there."""

from __future__ import annotations

from typing import Literal

import numpy as np

from datamodules.catalogue import Catalogue
from datamodules.source import DataError
from datamodules.stores import PictureStore

Missing = Literal["error", "skip"]


def drop_missing(catalogue: Catalogue, pictures: PictureStore, policy: Missing) -> Catalogue:
    """Check that all pictures are there.

    Args:
        catalogue: the items.
        pictures: where their pictures are.
        policy: ``error``, or ``skip``, which leaves them out and lists their paths as the fact ``missing``.

    Raises:
        DataError: some are missing and the policy is ``error``, which lists all of them; or none is there.
    """
    gone = pictures.missing(catalogue.paths)
    if not gone:
        return catalogue
    listed, counts = [catalogue.paths[row] for row in gone], f"{len(gone)} of {len(catalogue.ids)}"
    if len(gone) == len(catalogue.ids):
        raise DataError(f"{pictures.where}: none of the {len(gone)} listed pictures is there, for instance {listed[0]}")
    if policy == "error":
        raise DataError(
            f"{pictures.where}: {counts} pictures are missing; missing=skip leaves them out:\n  " + "\n  ".join(listed)
        )
    keep = np.setdiff1d(np.arange(len(catalogue.ids)), gone)
    return catalogue.select(keep, missing="\n".join(listed))
