"""The two commands of `python -m fastconv`, run as a user runs them."""

import numpy as np
import pytest

OPERATORS = ("conv2d 3x3", "dilated conv2d", "conv_transpose2d", "subpixel_conv2d", "pixel_shuffle")


@pytest.fixture
def command(tmp_path, python):
    """Run `python -m fastconv ...` in an empty folder."""

    def run(*arguments):
        code = f"import sys; from fastconv.__main__ import main; sys.exit(main({list(arguments)!r}))"
        return python(code)

    return run


@pytest.fixture
def extras():
    for module in ("matplotlib", "skimage", "tqdm", "PIL"):
        pytest.importorskip(module, reason=f"the demo extra is not installed: no {module}")


def test_info(command):
    result = command("info")
    assert result.returncode == 0, result.stderr
    for line in ("version", "in use", "available", "threads", "flags"):
        assert line in result.stdout


@pytest.mark.usefixtures("extras")
def test_demo_on_its_own_photograph(command, tmp_path):
    result = command("demo", "-o", "figure.png")
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in OPERATORS)
    assert "FAILED" not in result.stdout
    assert _size(tmp_path / "figure.png") > (1000, 1000)


@pytest.mark.usefixtures("extras")
@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_demo_on_a_picture(command, tmp_path, mode):
    from PIL import Image

    rng = np.random.default_rng(0)
    if mode == "I;16":
        Image.fromarray(rng.integers(0, 65535, (48, 64), np.uint16)).save(tmp_path / "in.png")
    else:
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).convert(mode).save(tmp_path / "in.png")
    result = command("demo", "in.png")
    assert result.returncode == 0, result.stderr
    assert "64 x 48" in result.stdout
    assert _size(tmp_path / "fastconv-demo.png") > (1000, 1000)


@pytest.mark.usefixtures("extras")
@pytest.mark.parametrize(
    "arguments", [("text.txt",), ("missing.png",), ("-o", "figure.jpg"), ("-o", "no/such/figure.png")]
)
def test_demo_refuses_what_it_cannot_use(command, tmp_path, arguments):
    (tmp_path / "text.txt").write_text("no picture")
    result = command("demo", *arguments)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_demo_without_its_extra_names_the_command(python):
    code = "import sys; sys.modules['tqdm'] = None; from fastconv.__main__ import main; sys.exit(main(['demo']))"
    result = python(code)
    assert result.returncode == 2
    assert 'pip install "fastconv[demo]"' in result.stderr


def _size(path):
    """The width and height that a PNG file states."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
