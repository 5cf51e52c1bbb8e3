"""Scenes: a generated multi-label data set of photograph-like pictures with captions, needing no download."""

from datamodules.scenes.captions import write_caption
from datamodules.scenes.concepts import CONCEPTS
from datamodules.scenes.layout import Layout, draw_layout
from datamodules.scenes.render import Scene, layout_label, render_layout, render_scene

__all__ = [
    "CONCEPTS",
    "Layout",
    "Scene",
    "draw_layout",
    "layout_label",
    "render_layout",
    "render_scene",
    "write_caption",
]
