"""The generated scenes: deterministic, captions that agree with labels, photograph-like statistics."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest

from datamodules.scenes import CONCEPTS, Scene, draw_layout, layout_label, render_scene, write_caption
from datamodules.scenes.backgrounds import PALETTES, render_background
from datamodules.scenes.concepts import AFFINITY, CATALOGUE, COMPANIONS
from datamodules.scenes.layout import COLOURS
from datamodules.scenes.shapes import SHAPES, coverage
from datamodules.scenes.textures import TEXTURES, blur, power_law_noise

MANY = 600


@pytest.fixture(scope="module")
def layouts():
    return [draw_layout(0, f"scene-{i}") for i in range(MANY)]


@pytest.fixture(scope="module")
def masks():
    axis = (np.arange(192, dtype=np.float32) + 0.5) / 96 - 1
    x, y = np.meshgrid(axis, axis)
    return np.stack([coverage(concept, x, y, 3) for concept in range(len(CONCEPTS))])


def _same(first: Scene, second: Scene) -> bool:
    return (
        first.image.tobytes() == second.image.tobytes()
        and first.label.tobytes() == second.label.tobytes()
        and first.caption == second.caption
    )


def _named(caption: str) -> set[str]:
    return {
        concept.name
        for concept in CATALOGUE
        if any(re.search(rf"\b{re.escape(word)}\b", caption) for word in concept.words)
    }


def test_same_arguments_give_the_same_scene_in_any_order():
    ids = [f"scene-{i}" for i in range(8)]
    forward = [render_scene(3, scene_id, 32) for scene_id in ids]
    backward = [render_scene(3, scene_id, 32) for scene_id in reversed(ids)][::-1]
    assert all(_same(a, b) for a, b in zip(forward, backward, strict=True))


def test_another_id_or_seed_gives_another_scene():
    scene = render_scene(3, "scene-0", 32)
    assert not np.array_equal(scene.image, render_scene(3, "scene-1", 32).image)
    assert not np.array_equal(scene.image, render_scene(4, "scene-0", 32).image)


@pytest.mark.parametrize("size", [24, 31, 32, 64, 224])
def test_shapes_types_and_ranges(size):
    scene = render_scene(0, "scene-0", size)
    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == np.uint8
    assert scene.image.std() > 10
    assert scene.label.shape == (len(CONCEPTS),)
    assert scene.label.dtype == np.uint8
    assert set(np.unique(scene.label)) == {0, 1}
    assert scene.caption == scene.caption.lower().strip()


def test_content_is_the_same_at_any_size():
    for i in range(6):
        small, large = render_scene(0, f"scene-{i}", 32), render_scene(0, f"scene-{i}", 128)
        assert small.caption == large.caption
        assert np.array_equal(small.label, large.label)
        shrunk = large.image.reshape(32, 4, 32, 4, 3).mean(axis=(1, 3))
        correlation = np.corrcoef(shrunk.ravel(), small.image.ravel())[0, 1]
        assert correlation > 0.85


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match="at least 16 pixels"):
        render_scene(0, "scene-0", 8)


def test_caption_names_the_labels_and_nothing_else(layouts):
    for i, layout in enumerate(layouts):
        labelled = {name for name, on in zip(CONCEPTS, layout_label(layout), strict=True) if on}
        assert _named(write_caption(layout, 0, f"scene-{i}")) == labelled


def test_captions_are_english(layouts):
    captions = [write_caption(layout, 0, f"scene-{i}") for i, layout in enumerate(layouts)]
    for caption in captions:
        assert not re.search(r"\ba [aeiou]", caption)
        assert not re.search(r"\ban [^aeiou]", caption)
        assert "  " not in caption
        assert "{" not in caption
    text = " ".join(captions)
    # What a caption says besides its objects is shared between concepts: text is no bare list of labels.
    for word in (*COLOURS, *TEXTURES[1:], *(palette.short for palette in PALETTES), "tiny", "huge"):
        assert re.search(rf"\b{word}\b", text), word


def test_no_word_belongs_to_two_concepts():
    words = [word for concept in CATALOGUE for word in concept.words]
    assert len(words) == len(set(words))
    assert all(concept.name in concept.words for concept in CATALOGUE)


def test_every_concept_occurs_and_none_dominates(layouts):
    frequency = np.mean([layout_label(layout) for layout in layouts], axis=0)
    assert frequency.min() > 0.02
    assert frequency.max() < 0.2


def test_object_counts_follow_their_odds(layouts):
    counts = np.bincount([len(layout.things) for layout in layouts], minlength=4)[1:] / MANY
    np.testing.assert_allclose(counts, (0.4, 0.35, 0.25), atol=0.06)


def test_companions_occur_together_more_often():
    assert np.array_equal(AFFINITY, AFFINITY.T)
    labels = np.array([layout_label(draw_layout(1, f"scene-{i}")) for i in range(1000)], dtype=np.int64)
    together = labels.T @ labels
    wanted = {frozenset((CONCEPTS.index(a), CONCEPTS.index(b))) for a, b, _ in COMPANIONS}
    pairs = {True: [], False: []}
    for i, j in combinations(range(len(CONCEPTS)), 2):
        pairs[frozenset((i, j)) in wanted].append(together[i, j])
    assert np.mean(pairs[True]) > 2 * np.mean(pairs[False])


def test_objects_stay_inside_and_hardly_overlap(layouts):
    for layout in layouts:
        for thing in layout.things:
            assert 0.4 * thing.scale < min(thing.x, thing.y)
            assert max(thing.x, thing.y) < 1 - 0.4 * thing.scale
        for a, b in combinations(layout.things, 2):
            assert np.hypot(a.x - b.x, a.y - b.y) > 0.44 * (a.scale + b.scale)


def test_colour_does_not_give_the_concept_away(layouts):
    colours = {name: set() for name in CONCEPTS}
    for layout in layouts:
        for thing in layout.things:
            colours[CONCEPTS[thing.concept]].add(thing.colour_name)
    assert min(len(names) for names in colours.values()) >= 6


def test_shapes_are_there_and_stay_in_their_square(masks):
    area = masks.mean(axis=(1, 2))
    assert len(SHAPES) == len(CONCEPTS) >= 20
    assert area.min() > 0.08
    axis = np.linspace(-1.6, 1.6, 129, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    outside = np.maximum(np.abs(x), np.abs(y)) > 1
    for name, shape in zip(CONCEPTS, SHAPES, strict=True):
        assert not ((shape(x, y) < 0) & outside).any(), name


def test_different_concepts_have_different_shapes(masks):
    for i, j in combinations(range(len(CONCEPTS)), 2):
        shared = np.minimum(masks[i], masks[j]).sum() / np.maximum(masks[i], masks[j]).sum()
        assert shared < 0.9, (CONCEPTS[i], CONCEPTS[j])


def _power_slope(image):
    """Return the slope of the radially averaged power spectrum in log-log, between 2 and 40 cycles."""
    size = len(image)
    window = np.hanning(size)[:, None] * np.hanning(size)[None]
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
    cycles = np.fft.fftfreq(size) * size
    radius = np.rint(np.hypot(cycles[:, None], cycles[None])).astype(int)
    radial = np.bincount(radius.ravel(), power.ravel()) / np.bincount(radius.ravel())
    band = np.arange(2, 41)
    return np.polyfit(np.log(band), np.log(radial[band]), 1)[0]


def test_backgrounds_have_the_spectrum_of_photographs(layouts):
    images = [render_background(layout.background, 128).mean(axis=-1) for layout in layouts[:24]]
    slopes = np.array([_power_slope(image) for image in images])
    assert slopes.min() > -3.2
    assert slopes.max() < -1
    assert -2.7 < slopes.mean() < -1.7
    assert np.std(slopes) > 0.1


def test_background_channels_are_correlated_not_equal(layouts):
    for layout in layouts[:12]:
        image = render_background(layout.background, 64).reshape(-1, 3)
        correlation = np.corrcoef(image.T)[np.triu_indices(3, 1)]
        assert 0.4 < correlation.min() < 0.9999


def test_power_law_noise_is_the_same_at_any_size():
    small, large = power_law_noise(32, 1.2, 5), power_law_noise(128, 1.2, 5)
    assert np.corrcoef(large[::4, ::4].ravel(), small.ravel())[0, 1] > 0.9
    assert 0.4 < power_law_noise(128, 1.0, 7).std() < 1.6


def test_blur_keeps_the_mean_and_spreads_a_point():
    point = np.zeros((15, 15), dtype=np.float32)
    point[7, 7] = 1
    spread = blur(point, 1.0)
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(spread, spread.T, atol=1e-7)
    assert spread[7, 7] == pytest.approx(0.16, abs=0.02)
    assert blur(point, 0.1) is point


@pytest.mark.slow
def test_pixels_say_little_linearly_and_shapes_say_much():
    """Chance is a class's frequency; a linear model on pixels stays near it, one on shape crops does not."""
    linear = pytest.importorskip("sklearn.linear_model")
    metrics = pytest.importorskip("sklearn.metrics")
    preprocessing = pytest.importorskip("sklearn.preprocessing")

    def score(features, labels, train):
        scaler = preprocessing.StandardScaler().fit(features[:train])
        features = scaler.transform(features)
        precisions = []
        for labels_of_class in labels.T:
            model = linear.LogisticRegression(C=1e-3, max_iter=200, tol=1e-3)
            model.fit(features[:train], labels_of_class[:train])
            scores = model.decision_function(features[train:])
            precisions.append(metrics.average_precision_score(labels_of_class[train:], scores))
        return float(np.mean(precisions))

    train = 2400
    scenes = [render_scene(0, f"scene-{i}", 32) for i in range(3000)]
    labels = np.stack([scene.label for scene in scenes])
    pixels = np.stack([scene.image for scene in scenes]).reshape(3000, -1) / np.float32(255)
    chance = labels[train:].mean()
    assert score(pixels, labels, train) < 1.5 * chance
    crops, names = _aligned_crops(3000)
    assert score(crops, names, train) > 6 * names[train:].mean()


def _aligned_crops(count):
    """Return the first object of each scene, cut out at 16 px as contrast to its rim, and its class."""
    crops, names = [], np.zeros((count, len(CONCEPTS)), dtype=np.uint8)
    for i in range(count):
        thing = draw_layout(0, f"scene-{i}").things[0]
        names[i, thing.concept] = 1
        image = render_scene(0, f"scene-{i}", 64).image.mean(axis=-1)
        offset = (np.arange(16) + 0.5) / 16 - 0.5
        rows = np.clip((thing.y + offset * thing.scale) * 64, 0, 63).astype(int)
        columns = np.clip((thing.x + offset * thing.scale) * 64, 0, 63).astype(int)
        crop = image[np.ix_(rows, columns)]
        rim = np.concatenate([crop[0], crop[-1], crop[:, 0], crop[:, -1]])
        crops.append(np.abs(crop - np.median(rim)).ravel())
    return np.stack(crops), names
