"""What was found, as HTML: in words beside every frame, and safe whatever captions say."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from app import markup
from app.found import Found, State

HOSTILE = "<script>alert('x')</script>\"&"
KINDS = ("hit", "target", "both", "miss")


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def state():
    picture = np.full((4, 4, 3), 7, np.uint8)
    found = tuple(
        Found(f"{kind}-id", rank, kind, HOSTILE, HOSTILE if rank else None, picture) for rank, kind in enumerate(KINDS)
    )
    return State("attacked", picture, torch.ones(64, dtype=torch.int8), 17, found, found[:2], "cat", HOSTILE, 0.25)


def test_every_frame_has_its_word_and_every_picture_its_alt(state):
    page = Tags(markup.lists(state))
    assert [item["class"] for item in page.all("li")] == [*KINDS, "hit", "target"]
    alts = [image["alt"] for image in page.all("img")]
    assert alts == [f"rank {rank}, {kind}, distance {rank - 1}: {HOSTILE}" for rank, kind in enumerate(KINDS, 1)]
    for rank, kind in enumerate(KINDS, 1):
        assert f"{rank}. {kind}distance {rank - 1}" in page.text  # a line break between
    assert [one["aria-label"] for one in page.all("ol")] == ["Images found, attacked", "Texts found, attacked"]


def test_frames_differ_by_line_as_well_as_by_colour():
    borders = [re.search(rf"\.rp \.{kind} img[^{{]*{{ border: (\S+ \S+)", markup.STYLE).group(1) for kind in KINDS]
    assert borders == ["4px solid", "4px dashed", "4px solid", "1px solid"]
    assert "border-right-color: var(--target)" in markup.STYLE, "both is half and half"


def test_figures_stand_in_the_summary(state):
    text = Tags(markup.summary(state)).text
    assert "1 hit, 1 target, 1 both, 1 miss · 17 of 64 bits flipped · 0.2 s" in text
    clean = Tags(markup.summary(State(**(vars(state) | {"name": "clean"})))).text
    assert f"asked for cat, the attacker wants {HOSTILE}" in clean


def test_nothing_hostile_becomes_markup(state):
    for text in (markup.lists(state), markup.summary(state), markup.head(HOSTILE), markup.nothing("purified")):
        assert not Tags(text).all("script")


def test_a_long_caption_is_cut(state):
    long = Found("id", 0, "hit", "cat", "x" * 500, state.picture)
    assert "x" * 119 + "…" in markup.lists(State(**(vars(state) | {"images": (long,)})))
