"""Pictures: pixels where they belong, and clear errors."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from lightning_modules import pictures


def flat(value, height=32, width=32):
    return np.full((height, width, 3), value, np.uint8)


def test_the_amplified_difference_is_signed_centred_and_clipped():
    original = flat(100, 1, 4)
    changed = original.copy()
    changed[0, :, 0] = [100, 103, 95, 255]
    red = pictures.amplified_difference(original, changed, gain=10)[0, :, 0]
    assert red.tolist() == [128, round(127.5 + 30), round(127.5 - 50), 255]
    assert (pictures.amplified_difference(original, changed)[..., 1:] == 128).all()
    assert pictures.amplified_difference(flat(255), flat(0)).max() == 0


def test_a_strip_holds_its_five_panels_in_order():
    rng = np.random.default_rng(0)
    original, attacked, purified = rng.integers(0, 256, (3, 32, 32, 3), np.uint8)
    composed = pictures.strip(original, attacked, purified, gain=3, gap=2)
    assert composed.shape == (128, 5 * 128 + 4 * 2, 3)
    assert composed.dtype == np.uint8
    expected = [
        original,
        attacked,
        purified,
        pictures.amplified_difference(original, attacked, 3),
        pictures.amplified_difference(original, purified, 3),
    ]
    for place, panel in enumerate(expected):
        shown = composed[:, place * 130 : place * 130 + 128]
        np.testing.assert_array_equal(shown[::4, ::4], panel)
        np.testing.assert_array_equal(shown[3::4, 3::4], panel)
    assert (composed[:, 128:130] == 255).all()


@pytest.mark.parametrize(("side", "shown"), [(16, 128), (32, 128), (64, 128), (96, 96), (224, 224), (400, 400)])
def test_small_images_are_enlarged_by_a_whole_factor(side, shown):
    assert pictures.enlarge(flat(0, side, side)).shape == (shown, shown, 3)
    assert pictures.enlarge(flat(0, side, side), scale=2).shape == (2 * side, 2 * side, 3)


def test_a_grid_fills_rows_first_and_leaves_the_rest_white():
    laid = pictures.grid([flat(value, 2, 3) for value in (10, 20, 30)], columns=2, gap=1)
    assert laid.shape == (5, 7, 3)
    assert (laid[:2, :3] == 10).all()
    assert (laid[:2, 4:] == 20).all()
    assert (laid[3:, :3] == 30).all()
    assert (laid[3:, 4:] == 255).all()
    assert (laid[2] == 255).all()
    assert pictures.grid([flat(1, 2, 3)], columns=9).shape == (2, 3, 3)


def test_a_retrieval_list_frames_every_image_by_its_kind():
    kinds = ["hit", "target", "both", "miss"]
    composed = pictures.retrieval_list(flat(7), [flat(9)] * 4, kinds, scale=1, gap=2)
    side = 32 + 8
    assert composed.shape == (side, side + 8 + 4 * side + 3 * 2, 3)
    assert composed[0, 0].tolist() == list(pictures.QUERY_COLOUR)
    assert (composed[4:-4, 4 : side - 4] == 7).all()
    panels = [composed[:, left : left + side] for left in range(side + 8, composed.shape[1], side + 2)]
    for panel in panels:
        assert (panel[4:-4, 4:-4] == 9).all()
    colours = [{tuple(pixel) for pixel in panel[0].tolist()} for panel in panels]
    hit, target, white = pictures.HIT_COLOUR, pictures.TARGET_COLOUR, (255, 255, 255)
    assert colours[0] == {hit}
    assert colours[1] == {target, white}
    assert panels[2][0, 0].tolist() == list(hit)
    assert panels[2][-1, -1].tolist() == list(target)
    assert colours[3] == {white}
    assert panels[3][3, 20].tolist() == list(pictures.MISS_COLOUR)


def test_a_trajectory_is_one_row():
    row = pictures.trajectory([flat(value) for value in (0, 100, 200)], gap=4)
    assert row.shape == (128, 3 * 128 + 2 * 4, 3)
    assert row[0, [0, 132, 264], 0].tolist() == [0, 100, 200]


def test_png_and_data_uri_keep_every_pixel():
    image = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    view = image[:, ::-1]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(pictures.png_bytes(view)))), view)
    uri = pictures.data_uri(image)
    assert uri.startswith("data:image/png;base64,")
    assert base64.b64decode(uri.split(",")[1]) == pictures.png_bytes(image)


def test_arguments_are_not_modified():
    image = flat(50)
    before = image.copy()
    pictures.strip(image, image, image)
    pictures.retrieval_list(image, [image], ["both"])
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda: pictures.strip(flat(0).astype(float), flat(0), flat(0)),
            TypeError,
            "original must be a uint8",
        ),
        (lambda: pictures.strip(flat(0), flat(0, 16), flat(0)), ValueError, "attacked must have the shape"),
        (lambda: pictures.png_bytes(flat(0)[..., 0]), ValueError, r"\(H, W, 3\)"),
        (lambda: pictures.png_bytes("picture"), TypeError, "got str"),
        (lambda: pictures.amplified_difference(flat(0), flat(0), gain=0), ValueError, "gain"),
        (lambda: pictures.enlarge(flat(0), scale=0), ValueError, "scale"),
        (lambda: pictures.grid([], 1), ValueError, "at least one"),
        (lambda: pictures.grid([flat(0)], 0), ValueError, "columns"),
        (lambda: pictures.grid([flat(0), flat(0, 8)], 1), ValueError, r"images\[1\]"),
        (lambda: pictures.trajectory([]), ValueError, "at least one"),
        (lambda: pictures.retrieval_list(flat(0), [], []), ValueError, "at least one"),
        (lambda: pictures.retrieval_list(flat(0), [flat(0)], []), ValueError, "one kind per"),
        (lambda: pictures.retrieval_list(flat(0), [flat(0)], ["win"]), ValueError, "win"),
    ],
)
def test_wrong_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
