"""Text features: how captions and tags become vectors."""

from datamodules.text.bag_of_words import BagOfWords
from datamodules.text.base import TextFeatures, TextTable
from datamodules.text.from_file import FileFeatures
from datamodules.text.sentence_encoder import SentenceEncoder
from datamodules.text.tags import TagVector
from datamodules.text.topics import LatentTopics

__all__ = [
    "BagOfWords",
    "FileFeatures",
    "LatentTopics",
    "SentenceEncoder",
    "TagVector",
    "TextFeatures",
    "TextTable",
]
