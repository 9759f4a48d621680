"""The examples: each script in a quick form, their training helper, and `upscale.py` on files of every kind."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
for package in ("matplotlib", "skimage", "png", "tifffile"):
    pytest.importorskip(package, reason="the examples need the extra of their name")
sys.path.insert(0, str(EXAMPLES))

import espcn  # noqa: E402
import picture_files  # noqa: E402
import super_resolution  # noqa: E402
import tifffile  # noqa: E402
import training  # noqa: E402
import upscale  # noqa: E402
from photographs import HELD_OUT, TRAINING, luma, photograph, resized  # noqa: E402
from PIL import Image  # noqa: E402

QUICK = {
    "receptive_fields.py": ["--repeats", "1", "--draws", "1"],
    "four_ways_up.py": ["--steps", "2"],
    "dense_prediction.py": ["--train", "--steps", "1", "--seeds", "1", "--results", "results/dense.npz"],
    "super_resolution.py": ["--train", "--steps", "2", "--scales", "3", "--weights", "weights"],
    "denoise.py": ["--train", "--steps", "2", "--weights", "weights/denoise.npz"],
}


def run(folder, *arguments):
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("name", QUICK)
def test_quick_form(name, tmp_path):
    """It trains where it can, prints, and makes its figure; nothing lands beside the script."""
    before = sorted(EXAMPLES.rglob("*.npz"))
    done = run(tmp_path, EXAMPLES / name, *QUICK[name], "-o", "figure.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout
    with Image.open(tmp_path / "figure.png") as figure:
        assert figure.width >= 800 and figure.height >= 300
    assert sorted(EXAMPLES.rglob("*.npz")) == before


@pytest.mark.parametrize("name", [name for name in QUICK if "--train" in QUICK[name]])
def test_stored_results_are_shown(name, tmp_path):
    done = run(tmp_path, EXAMPLES / name)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_scripts_are_short():
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert len(scripts) >= len(QUICK)
    for script in scripts:
        assert len(script.read_text().splitlines()) < 150, script.name


# ---- the training helper ---------------------------------------------------------------------------------------------


def small_net(tape, x, layers):
    first, dilated, up, fine = layers
    y = tape.conv2d(x, *first, activation="relu", padding=1)
    wide = tape.conv2d(y, *dilated, padding=2, dilation=2)
    y = tape.concatenate([wide, tape.spread_mean(y), tape.interpolate(tape.max_pool2d(y, 2), 2)])
    y = tape.conv_transpose2d(y, *up, stride=2, padding=1)
    return tape.subpixel_conv2d(y, *fine, upscale_factor=2, padding=1)


def test_gradients_are_those_of_the_loss():
    """A step of each parameter changes the loss by the gradient times the step."""
    rng = np.random.default_rng(0)
    layers = [training.kernel(rng, *shape) for shape in ((3, 1, 3), (4, 3, 3), (2, 10, 4), (12, 2, 3))]
    layers[2][0].value = layers[2][0].value.swapaxes(0, 1)  # of a transposed convolution
    x = rng.standard_normal((2, 1, 6, 6)).astype(np.float32)
    labels = rng.integers(0, 3, (2, 24, 24))

    def loss():
        return training.cross_entropy(small_net(training.Tape(), training.given(x), layers).value.astype(float), labels)

    tape = training.Tape()
    y = small_net(tape, training.given(x), layers)
    tape.backward(y, training.cross_entropy(y.value, labels)[1])
    for node in (node for layer in layers for node in layer):
        direction = rng.standard_normal(node.value.shape).astype(np.float32)
        value, step = node.value, np.float32(1e-2)
        ends = []
        for sign in (1, -1):
            node.value = value + sign * step * direction
            ends.append(loss()[0])
        node.value = value
        slope = float((node.gradient * direction).sum())
        assert abs((ends[0] - ends[1]) / (2 * step) - slope) < 2e-3 * max(1, abs(slope))
    assert not tape.steps


def test_adam_finds_the_least_squares():
    rng = np.random.default_rng(0)
    node, target = training.Node(np.zeros(5)), rng.standard_normal(5)
    adam = training.Adam([node], steps=400, rate=0.1)
    for _ in range(400):
        node.add(training.squared_error(node.value, target)[1].astype(np.float32))
        adam.step()
    np.testing.assert_allclose(node.value, target, atol=1e-3)


# ---- super-resolution ------------------------------------------------------------------------------------------------


def test_weights_are_small_and_better_than_bicubic():
    """What the documentation says of the held-out photographs, for x3."""
    assert sum(path.stat().st_size for path in (EXAMPLES / "weights").glob("upscale_*.npz")) < 300_000
    assert not set(TRAINING) & set(HELD_OUT)
    net, gains = espcn.Upscaler.load(3), []
    for name in HELD_OUT:
        small, large = super_resolution.small_and_large(luma(photograph(name)), 3)
        ways = net.enhance_whole(small), resized(small, *large.shape)
        fine, cubic = (super_resolution.scores(way, large, 3)[0] for way in ways)
        gains.append(fine - cubic)
    assert min(gains) > 0 and np.mean(gains) >= 0.5


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_is_pillows(scale):
    plane = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    ours = espcn.Upscaler.load(scale).bicubic(np.pad(plane, espcn.HALO, mode="edge")[None])[0]
    inner = slice(2 * scale, -2 * scale)  # Pillow leaves out what lies outside, where we repeat the edge
    np.testing.assert_allclose(ours[inner, inner], resized(plane, *ours.shape)[inner, inner], atol=2e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_seams_have_the_same_bits(channels, dtype, monkeypatch):
    shape = (41, 53, channels)
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    net, pictures = espcn.Upscaler.load(3), []
    for tile in (1000, 17, 8):
        monkeypatch.setattr(espcn, "TILE", tile)
        pictures.append(upscale.enlarge(pixels, net, quiet=True))
    assert pictures[0].dtype == dtype and pictures[0].shape == (123, 159, channels)
    for picture in pictures[1:]:
        np.testing.assert_array_equal(picture, pictures[0])


def wave(channels, dtype):
    """A smooth picture whose channels differ, all of the range in use."""
    y, x = np.mgrid[:19, :23]
    planes = [0.5 + 0.5 * np.sin(x / (4 + c) + y / (5 + 2 * c)) for c in range(channels)]
    return np.rint(np.stack(planes, -1) * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize(("channels", "dtype", "suffix"), [
    (1, "uint8", ".png"), (3, "uint8", ".jpg"), (3, "uint8", ".png"), (2, "uint8", ".png"), (4, "uint8", ".webp"),
    (4, "uint8", ".tif"), (1, "uint16", ".png"), (2, "uint16", ".png"), (3, "uint16", ".png"), (4, "uint16", ".png"),
    (1, "uint16", ".tif"), (3, "uint16", ".tiff"), (4, "uint16", ".tif"),
])  # fmt: skip
def test_files_of_every_kind(channels, dtype, suffix, tmp_path):
    """What is written is read again, and enlarged it keeps its kind; its pixels lie near the small one's."""
    pixels = wave(channels, dtype)
    small, large = tmp_path / f"small{suffix}", tmp_path / f"large{suffix}"
    picture_files.write(small, pixels)
    read, _, note = picture_files.read(small)
    assert (read.dtype, read.shape, note) == (pixels.dtype, pixels.shape, "")
    lossy = suffix in (".jpg", ".webp")
    if not lossy:
        np.testing.assert_array_equal(read, pixels)
    assert upscale.main([str(small), "-o", str(large), "--scale", "2", "--quiet"]) == 0
    fine, _, _ = picture_files.read(large)
    assert fine.dtype == pixels.dtype and fine.shape == (38, 46, channels)
    means = fine.reshape(19, 2, 23, 2, channels).mean((1, 3))
    assert np.abs(means - pixels).max() < (0.15 if lossy else 0.06) * np.iinfo(dtype).max
    if dtype == "uint16":
        assert (fine % 257 != 0).any()  # more than 8 bits
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([small.name, large.name])


def test_palettes_orientation_profile_and_other_modes(tmp_path):
    colours = Image.fromarray(wave(3, "uint8"))
    palette = colours.quantize(16)
    palette.save(tmp_path / "palette.png", transparency=0)
    assert picture_files.read(tmp_path / "palette.png")[0].shape[-1] == 4
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    colours.save(tmp_path / "turned.jpg", exif=exif, icc_profile=b"profile")
    pixels, profile, _ = picture_files.read(tmp_path / "turned.jpg")
    assert pixels.shape == (23, 19, 3) and profile == b"profile"
    assert upscale.main([str(tmp_path / "turned.jpg"), "-o", str(tmp_path / "large.png"), "--scale", "4"]) == 0
    with Image.open(tmp_path / "large.png") as large:
        assert large.size == (76, 92) and large.info["icc_profile"] == b"profile"
    colours.convert("CMYK").save(tmp_path / "cmyk.jpg")
    assert picture_files.read(tmp_path / "cmyk.jpg")[0].shape == (19, 23, 3)
    colours.convert("1").save(tmp_path / "bits.png")
    assert picture_files.read(tmp_path / "bits.png")[0].shape == (19, 23, 1)
    colours.save(tmp_path / "two.tif", save_all=True, append_images=[colours])
    assert picture_files.read(tmp_path / "two.tif")[2] == "the first of 2 frames"


def test_errors_are_one_line_and_leave_no_file(tmp_path, capsys):
    good, noise = tmp_path / "good.png", tmp_path / "noise.png"
    picture_files.write(good, wave(4, "uint8"))
    noise.write_bytes(b"no picture")
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:60])
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((5, 5), np.float32))
    picture_files.write(tmp_path / "deep.png", wave(3, "uint16"))
    before = sorted(tmp_path.iterdir())
    for photo, out, words in [
        ("missing.png", "out.png", "No such file"),
        ("noise.png", "out.png", "cannot identify"),
        ("cut.png", "out.png", "cut.png as a picture"),
        ("float.tif", "out.png", "beyond 16 bits"),
        (".", "out.png", "directory"),
        ("good.png", "out.xyz", "must end in one of .jpg"),
        ("good.png", "nowhere/out.png", "there is no folder"),
        ("good.png", "out.jpg", "no transparency"),
        ("deep.png", "out.jpg", "8 bits, the picture has 16"),
    ]:
        assert upscale.main([str(tmp_path / photo), "-o", str(tmp_path / out), "--quiet"]) == 2
        printed = capsys.readouterr()
        assert words in printed.err and printed.err.startswith("upscale: ") and printed.err.count("\n") == 1
        assert printed.out == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_written_whole_or_not_at_all(error, tmp_path, monkeypatch):
    out = tmp_path / "out.png"
    out.write_bytes(b"as it was")

    def fail(file, *rest):
        file.write(b"half of it")
        raise error

    monkeypatch.setattr(picture_files, "encode", fail)
    with pytest.raises((picture_files.UsageError, KeyboardInterrupt)):
        picture_files.write(out, wave(3, "uint8"))
    assert out.read_bytes() == b"as it was" and list(tmp_path.iterdir()) == [out]


def test_memory_holds_little_more_than_the_two_pictures(tmp_path):
    """2.4 million pixels become 9.6: 29 MB, which would be 115 MB as floats, and 1.2 GB in the net."""
    resource = pytest.importorskip("resource")
    assert resource
    code = f"""
    import resource, sys
    sys.path.insert(0, {str(EXAMPLES)!r})
    import numpy as np, upscale
    net = upscale.Upscaler.load(2)
    upscale.enlarge(np.zeros((16, 16, 3), np.uint8), net, quiet=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    upscale.enlarge(np.zeros((1200, 2000, 3), np.uint8), net, quiet=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = run(tmp_path, "-c", "\n".join(line.strip() for line in code.splitlines()))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 4 * 1200 * 2000 * 3 + 7_000_000 + 20_000_000
