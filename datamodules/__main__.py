"""``python -m datamodules``."""

import sys

from datamodules.commands import main

if __name__ == "__main__":
    sys.exit(main())
