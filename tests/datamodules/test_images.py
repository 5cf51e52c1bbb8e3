"""Decoding against Pillow, resizing against Pillow, and an error with a name for whatever is no picture."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.images import Pixels, Resize, decode, read
from datamodules.source import DataError


def _array(tensor):
    assert tensor.dtype == torch.uint8
    assert tensor.shape[0] == 3
    return tensor.permute(1, 2, 0).numpy()


def _pillow(data):
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def _png16(pixels):
    """Encode uint16 ``(H, W, C)``: Pillow writes 16 bits for grey only."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("options", [{"quality": 95, "subsampling": 0}, {"subsampling": 2}, {"progressive": True}])
@pytest.mark.parametrize("size", [(53, 71), (1, 1), (7, 200)])
def test_jpeg_is_what_pillow_says(photograph, encode, options, size):
    data = encode(photograph(*size), "JPEG", **options)
    assert np.array_equal(_array(decode(data, "a")), _pillow(data))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_other_formats_are_what_pillow_says(photograph, encode, kind):
    original = photograph()
    data = encode(original, kind)
    assert np.array_equal(_array(decode(data, "a")), _pillow(data))
    if kind in ("PNG", "BMP", "TIFF"):
        assert np.array_equal(_array(decode(data, "a")), original)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_grey_becomes_three_equal_channels(photograph, encode, kind):
    data = encode(Image.fromarray(photograph()).convert("L"), kind)
    pixels = _array(decode(data, "a"))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.mode == "L"
        grey = np.asarray(picture)
    assert np.array_equal(pixels, np.stack([grey] * 3, axis=-1))


def test_cmyk_jpeg(photograph, encode):
    original = photograph()
    data = encode(Image.fromarray(original).convert("CMYK"), "JPEG", quality=95)
    pixels = _array(decode(data, "a"))
    assert np.array_equal(pixels, _pillow(data))
    assert np.abs(pixels.astype(int) - original).mean() < 12  # no negative, no swapped channels


def test_palette_png(photograph, encode):
    palette = Image.fromarray(photograph()).quantize(16)
    pixels = _array(decode(encode(palette, "PNG"), "a"))
    assert np.array_equal(pixels, np.asarray(palette.convert("RGB")))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) <= 16


@pytest.mark.parametrize("transparency", [3, bytes([0, 100, 255])])
def test_palette_png_with_transparency(photograph, encode, transparency):
    palette = Image.fromarray(photograph()).quantize(16)
    pixels = _array(decode(encode(palette, "PNG", transparency=transparency), "a"))
    assert np.array_equal(pixels, np.asarray(palette.convert("RGB")))


def test_alpha_is_dropped(photograph, encode):
    original = photograph()
    alpha = np.indices(original.shape[:2]).sum(0).astype(np.uint8)
    rgba = Image.fromarray(np.dstack([original, alpha]))
    assert np.array_equal(_array(decode(encode(rgba, "PNG"), "a")), original)
    grey = _array(decode(encode(rgba.convert("LA"), "PNG"), "a"))
    assert np.array_equal(grey[..., 0], np.asarray(Image.fromarray(original).convert("L")))


def test_sixteen_bit_png_keeps_the_high_byte(photograph):
    wide = photograph().astype(np.uint16) * 256 + 77
    assert np.array_equal(_array(decode(_png16(wide), "a")), photograph())
    grey = _array(decode(_png16(wide[..., :1]), "a"))
    assert np.array_equal(grey, np.repeat(photograph()[..., :1], 3, axis=-1))
    alpha = np.full_like(wide[..., :1], 9)
    assert np.array_equal(_array(decode(_png16(np.dstack([wide, alpha])), "a")), photograph())


def test_sixteen_bit_tiff_keeps_the_high_byte(photograph, encode):
    grey = photograph()[..., 0]
    pixels = _array(decode(encode(grey.astype(np.uint16) * 256 + 77, "TIFF"), "a"))
    assert np.array_equal(pixels, np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize(("dtype", "mode"), [(np.float32, "F"), (np.int32, "I")])
def test_pixels_without_a_range_are_refused(photograph, encode, dtype, mode):
    with pytest.raises(DataError) as caught:
        decode(encode(photograph()[..., 0].astype(dtype), "TIFF"), "scan.tif")
    assert str(caught.value).startswith(f"scan.tif: not a readable picture (pixels of type {mode} have no known range")


def test_black_and_white(encode):
    pixels = _array(decode(encode(Image.fromarray(np.eye(5, dtype=bool)), "PNG"), "a"))
    assert np.array_equal(pixels[..., 1], np.eye(5, dtype=np.uint8) * 255)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], lossless=True)
    pixels = _array(decode(buffer.getvalue(), "a"))
    assert pixels.shape == (6, 8, 3)
    assert (pixels == (250, 0, 0)).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_ignored(photograph, encode, kind, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    original = photograph()
    options = {"lossless": True} if kind == "WEBP" else {}
    plain, tagged = encode(original, kind, **options), encode(original, kind, exif=exif.tobytes(), **options)
    assert np.array_equal(_array(decode(tagged, "a")), _array(decode(plain, "a")))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_truncated_pictures_are_refused_by_name(photograph, encode, kind, part):
    data = encode(photograph(), kind)
    with pytest.raises(DataError, match=r"^row 7: not a readable picture \(.+\)"):
        decode(data[: int(len(data) * part)], "row 7")


def test_no_cut_of_a_jpeg_passes_as_a_picture(photograph, encode):
    data = encode(photograph(20, 30), "JPEG")
    for cut in range(1, len(data) - 2, 7):
        with pytest.raises(DataError, match=r"^cut: not a readable picture"):
            decode(data[:cut], "cut")


def test_a_damaged_png_is_an_error_and_no_crash(photograph, encode):
    # torchvision's decoder ends the process for the first of these.
    data = bytearray(encode(photograph(), "PNG"))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    with pytest.raises(DataError, match=r"^row 7: not a readable picture"):
        decode(bytes(data), "row 7")
    original = photograph(9, 9)
    data, messages = encode(original, "PNG"), []
    for place in range(33, len(data)):  # behind the header: another width is no damage that shows
        spoiled = bytearray(data)
        spoiled[place] ^= 0xFF
        try:
            pixels = _array(decode(bytes(spoiled), "row 7"))
        except DataError as error:
            messages.append(str(error))
        else:
            assert np.array_equal(pixels, original)  # the damage is in what no pixel depends on
    assert len(messages) > 0.9 * (len(data) - 33)
    assert all(message.startswith("row 7: not a readable picture (") for message in messages)


@pytest.mark.parametrize("data", [b"a caption, not a picture", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"<html>" * 99])
def test_other_bytes_are_refused_by_name(data):
    with pytest.raises(DataError, match=r"^row 7: not a readable picture"):
        decode(data, "row 7")


def test_no_bytes_are_refused_by_name():
    with pytest.raises(DataError) as caught:
        decode(b"", "row 7")
    assert str(caught.value) == "row 7: the picture is empty (0 bytes)"


def test_read_names_the_file(photograph, encode, tmp_path):
    good, bad, missing = (tmp_path / name for name in ("good.png", "bad.png", "missing.png"))
    good.write_bytes(encode(photograph()))
    bad.write_bytes(encode(photograph())[:99])
    assert np.array_equal(_array(read(good)), photograph())
    with pytest.raises(DataError) as caught:
        read(missing)
    assert str(caught.value) == f"{missing}: cannot be read (No such file or directory)"
    with pytest.raises(DataError) as caught:
        read(bad)
    assert str(caught.value).startswith(f"{bad}: not a readable picture (")


# Resizing.


def _tensor(array):
    return torch.from_numpy(array.transpose(2, 0, 1).copy())


def _reference(array, height, width):
    """Antialiased bilinear resize by Pillow: filters of the same shape, other code."""
    return np.asarray(Image.fromarray(array).resize((width, height), Image.Resampling.BILINEAR))


def _weights(length, target):
    """Triangles as wide as the step, cut off at the border and normalised: antialiased bilinear, exactly."""
    step = length / target
    centres, pixels = (np.arange(target) + 0.5) * step, np.arange(length) + 0.5
    weights = (1 - np.abs(pixels - centres[:, None]) / max(step, 1)).clip(0)
    return weights / weights.sum(1, keepdims=True)


def _exact(array, height, width):
    rows, columns = _weights(array.shape[0], height), _weights(array.shape[1], width)
    return np.moveaxis(rows @ array.transpose(2, 0, 1).astype(float) @ columns.T, 0, -1)


SHAPES = [(300, 400), (400, 300), (97, 131), (40, 30), (64, 640)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("size", "resize_to"), [(32, None), (48, 56), (224, 256)])
def test_short_side_is_antialiased_bilinear_and_the_centre(photograph, shape, size, resize_to):
    array = photograph(*shape)
    side = resize_to or size
    scaled = [side, int(side * shape[1] / shape[0])] if shape[0] < shape[1] else [int(side * shape[0] / shape[1]), side]
    top, left = (round((length - size) / 2) for length in scaled)
    middle = (slice(top, top + size), slice(left, left + size))
    _check_close(_array(Resize(Pixels(size, resize_to))(_tensor(array))), array, scaled, middle)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("size", "resize_to"), [(32, None), (48, 56)])
def test_squash_is_antialiased_bilinear_of_all(photograph, shape, size, resize_to):
    array = photograph(*shape)
    side = resize_to or size
    middle = (slice((side - size) // 2, (side + size) // 2),) * 2
    _check_close(_array(Resize(Pixels(size, resize_to, "squash"))(_tensor(array))), array, [side, side], middle)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["short_side", "squash"])
def test_the_backend_pillow_is_pillow_bit_for_bit(photograph, shape, mode):
    array = photograph(*shape)
    scaled = [48, 48]
    if mode == "short_side":
        scaled = [48, int(48 * shape[1] / shape[0])] if shape[0] < shape[1] else [int(48 * shape[0] / shape[1]), 48]
    top, left = (round((length - 40) / 2) for length in scaled)
    expected = _reference(array, *scaled)[top : top + 40, left : left + 40]
    result = _array(Resize(Pixels(40, 48, mode, backend="pillow"))(_tensor(array)))
    assert np.array_equal(result, expected)


def _check_close(result, array, scaled, middle):
    exact, pillow = _exact(array, *scaled)[middle], _reference(array, *scaled)[middle]
    assert result.shape == exact.shape
    assert np.abs(result - exact).max() <= 1.01  # each axis is rounded once
    assert abs((result - exact).mean()) <= 0.1
    difference = np.abs(result.astype(int) - pillow)
    assert difference.max() <= 1
    # Both round between the axes, one rows first and one columns first: what a large picture averages out
    # stays visible where little is averaged. Measured: 0.02 % to 0.2 %, up to 24 % at factors near 1.
    shrinks = min(array.shape[0] / scaled[0], array.shape[1] / scaled[1])
    if shrinks > 3:
        assert (difference > 0).mean() <= 0.01


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    result = _array(Resize(Pixels(16))(_tensor(stripes)))
    assert np.abs(result[:, 2:-2].astype(int) - 128).max() <= 2  # without antialiasing: all 0 or all 255


def _bands(height, width):
    """Three equal bands along the long side: red, green, blue."""
    array = np.zeros((height, width, 3), np.uint8)
    for channel in range(3):
        if width > height:
            array[:, channel * width // 3 : (channel + 1) * width // 3, channel] = 255
        else:
            array[channel * height // 3 : (channel + 1) * height // 3, :, channel] = 255
    return array


@pytest.mark.parametrize("shape", [(60, 180), (180, 60)])
def test_short_side_keeps_the_middle_and_squash_keeps_all(shape):
    picture = _tensor(_bands(*shape))
    middle = _array(Resize(Pixels(20))(picture))[2:-2, 2:-2]
    assert (middle == (0, 255, 0)).all()
    squashed = _array(Resize(Pixels(21, mode="squash"))(picture)).astype(int)
    if shape[0] > shape[1]:
        squashed = squashed.transpose(1, 0, 2)
    assert (squashed[:, [3, 10, 17]] == np.eye(3, dtype=int) * 255).all()


def test_resize_to_crops_a_margin():
    framed = np.full((64, 64, 3), 200, np.uint8)
    framed[8:56, 8:56] = 50
    assert (_array(Resize(Pixels(48, 64))(_tensor(framed))) == 50).all()
    assert _array(Resize(Pixels(48))(_tensor(framed)))[0, 0].tolist() == [200, 200, 200]


@pytest.mark.parametrize("mode", ["short_side", "squash"])
def test_a_picture_of_the_right_size_is_not_touched(photograph, mode):
    picture = _tensor(photograph(32, 32))
    assert torch.equal(Resize(Pixels(32, mode=mode))(picture), picture)
    assert torch.equal(Resize(Pixels(32, 32, mode))(picture), picture)
    assert not torch.equal(Resize(Pixels(32, 40, mode))(picture), picture)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 9, "resize_to": 8}, "pixels.resize_to=8 is below pixels.size=9: nothing is left to crop from"),
        ({"size": 224, "resize_to": 0}, "pixels.resize_to=0 is below pixels.size=224: nothing is left to crop from"),
        ({"size": 8, "mode": "pad"}, "pixels.mode='pad': expected 'short_side' or 'squash'"),
        ({"size": 0}, "pixels.size=0: expected at least 1 pixel"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(DataError) as caught:
        Resize(Pixels(**options))
    assert str(caught.value) == message
