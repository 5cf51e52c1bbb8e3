"""The figures that the RetPur paper prints."""

from lightning_modules.evaluation.paper.figures import PaperFigure, read_figures

__all__ = ["PaperFigure", "read_figures"]
