"""The Gradio part: built and called; what it looks like is seen in a browser."""

import asyncio

import numpy as np
import pytest

gradio = pytest.importorskip("gradio", reason="the search page needs the extra app")

from app import page  # noqa: E402


async def built(desk):
    """Build the page within an event loop: without one Gradio makes its own, and leaves it open."""
    return page.build_page(desk)


def asked(desk, **more):
    values = {"hasher": "DPSH", "position": 0, "picture": None, "own": page.UNKNOWN, "attack": "none"}
    return values | {"target": page.PLANNED, "defence": "none", "steps": None, "scale": None} | more


def test_the_page_offers_what_the_desk_knows(desk):
    blocks = asyncio.run(built(desk)).blocks
    boxes = {block.label: block for block in blocks.values() if getattr(block, "label", None)}
    assert [name for name, _ in boxes["Attack"].choices] == desk.attacks
    assert [name for name, _ in boxes["Defence"].choices] == desk.defences
    assert [name for name, _ in boxes["Target"].choices] == [page.PLANNED, *desk.targets("DPSH")]
    assert list(map(tuple, boxes["Query"].choices)) == desk.queries("DPSH")
    assert {"clean | attacked", "clean | purified"} <= set(boxes)
    assert not boxes["Hasher"].visible, "there is one only"


def test_three_columns_are_filled(desk):
    values = page._answer(desk, asked(desk, attack="P2P", defence="RetPur", steps=4, scale=1000.0))
    summaries, pictures, lists = values[0::3], values[1::3], values[2::3]
    assert [title in text for title, text in zip(("Clean", "Attacked", "Purified"), summaries, strict=True)] == [
        True
    ] * 3
    assert [text.count("<img") for text in lists] == [10, 10, 10]
    clean, *sliders = [update["value"] for update in pictures]
    assert clean.shape == (384, 384, 3)
    assert all(np.array_equal(before, clean) for before, _ in sliders)
    assert all(after.shape == clean.shape for _, after in sliders)


def test_what_is_not_chosen_is_said(desk):
    values = page._answer(desk, asked(desk))
    assert "No attack is chosen." in values[3]
    assert values[4]["visible"] is False
    assert "No defence is chosen." in values[6]


def test_figure_3_is_one_choice(desk):
    found = page._figure_3(desk)
    assert found[:4] == (None, "P2P", page.PLANNED, "RetPur")
    assert [one["value"] for one in found[4:]] == [4, 1000]


def test_options_of_a_purifier_follow_the_defence(desk):
    assert page._of_defence(desk, "RetPur") == ({"value": 4, "visible": True}, {"value": 1000, "visible": True})
    assert [one["visible"] for one in page._of_defence(desk, "blur")] == [False, False]


def test_a_picture_of_ones_own(desk):
    picture = np.random.default_rng(1).integers(0, 256, (20, 50, 3), np.uint8)
    own, target = desk.classes("DPSH")[0], desk.targets("DPSH")[0]
    values = page._answer(desk, asked(desk, picture=picture, own=own, attack="DHTA", target=target))
    assert f"asked for {own}, the attacker wants {target}" in values[0]


def test_what_is_wrong_is_shown_on_the_page(desk):
    with pytest.raises(gradio.Error, match="purify_steps=2000"):
        page._answer(desk, asked(desk, defence="RetPur", steps=2000, scale=1.0))
