"""Text features: how captions and tags become vectors."""

from datamodules.text.base import TextFeatures, TextTable

__all__ = ["TextFeatures", "TextTable"]
