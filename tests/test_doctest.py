"""The examples in the docstrings run, and every public operator has what a reader looks for."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import fastconv

# The demo is a program with requirements of its own; names with an underscore are not public.
MODULES = [
    "fastconv",
    *(
        m.name
        for package in (fastconv, fastconv.geometry, fastconv.grad)
        for m in pkgutil.iter_modules(package.__path__, package.__name__ + ".")
        if "._" not in m.name and m.name != "fastconv.demo"
    ),
]
OPERATORS = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "pixel_shuffle", "pixel_unshuffle", "subpixel_conv2d",
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "icnr",
    "interpolate", "resize_conv2d", "zero_insert", "unfold", "fold",
]  # fmt: skip
LAYERS = [
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "SubpixelConv2d",
]  # fmt: skip
SETTINGS = ["set_num_threads", "get_num_threads", "threads", "show_config"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize("page", ["arithmetic.md", "names.md"])
def test_pages_run(page):
    failed, attempted = doctest.testfile(str(Path(__file__).parents[1] / "docs" / page), module_relative=False)
    assert attempted and not failed


def test_public_names():
    assert set(OPERATORS + LAYERS + SETTINGS) <= set(fastconv.__all__)
    assert all(hasattr(fastconv, name) for name in fastconv.__all__)


def test_public_names_are_in_the_reference():
    """Each has its page in the documentation."""
    page = (Path(__file__).parents[1] / "docs" / "api.rst").read_text()
    listed = re.findall(r"^   (\w+)$", page, re.MULTILINE)
    modules = {"__version__", "geometry", "grad"}
    public = [*(set(fastconv.__all__) - modules), *fastconv.grad.__all__, *fastconv.geometry.__all__]
    assert sorted(listed) == sorted(public)


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_docstrings(name):
    text = getattr(fastconv, name).__doc__
    for section in ("Parameters", "Returns", "Raises", "References", "Examples"):
        assert f"\n    {section}\n    ---" in text, f"{name} lacks {section}"
    assert ">>>" in text


@pytest.mark.parametrize("name", fastconv.geometry.__all__)
def test_geometry_docstrings(name):
    text = getattr(fastconv.geometry, name).__doc__
    assert "Parameters\n" in text or "Attributes\n" in text
    assert ">>>" in text or hasattr(getattr(fastconv.geometry, name), "region")


@pytest.mark.parametrize("name", LAYERS)
def test_layer_docstrings(name):
    assert ">>>" in getattr(fastconv, name).__doc__


@pytest.mark.parametrize("name", ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"])
def test_transposed_docstrings_say_that_it_is_no_inverse(name):
    assert "inverse" in getattr(fastconv, name).__doc__
