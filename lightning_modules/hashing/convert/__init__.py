"""Released hashing networks of other layouts to checkpoints of the suite; the command line is ``__main__.py``."""

from lightning_modules.hashing.convert.state_dicts import Family, read_released

__all__ = ["Family", "read_released"]
