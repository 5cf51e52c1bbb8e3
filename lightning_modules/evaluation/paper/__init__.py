"""The figures that the RetPur paper prints, and what an evaluation makes of them."""

from lightning_modules.evaluation.paper.comparison import PaperReference, compare
from lightning_modules.evaluation.paper.figures import PaperFigure, read_figures

__all__ = ["PaperFigure", "PaperReference", "compare", "read_figures"]
