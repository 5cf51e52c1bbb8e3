"""Callbacks observe or write; none of them defines a loss."""

from lightning import Callback

from callbacks.attack_pictures import AttackPictures
from callbacks.channels_last import ChannelsLast
from callbacks.code_writer import CodeWriter
from callbacks.codes import CodeStatistics
from callbacks.export import Export
from callbacks.pictures import QueryPictures
from callbacks.retrieval import RetrievalLists
from callbacks.summary import CellSummary
from callbacks.trajectory import PurificationTrajectory

__all__ = [
    "AttackPictures",
    "CellSummary",
    "ChannelsLast",
    "CodeStatistics",
    "CodeWriter",
    "Export",
    "PurificationTrajectory",
    "QueryPictures",
    "RetrievalLists",
    "evaluation_callbacks",
]


def evaluation_callbacks(pictures: int) -> list[Callback]:
    """Return what an evaluation shows of each cell; ``pictures`` is the number of queries."""
    return [
        QueryPictures(pictures),
        PurificationTrajectory(),
        RetrievalLists(min(4, pictures)),
        CodeStatistics(),
        CellSummary(),
    ]
