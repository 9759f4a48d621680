"""Sphinx settings: `python -m sphinx -W -b html docs docs/_build` from the root of the project; the extra is `docs`."""

import os

import matplotlib

import fastconv

os.environ["TQDM_DISABLE"] = "1"  # no bars among what the examples print
matplotlib.use("Agg")
project, author = "fastconv", "the fastconv authors"
version = release = fastconv.__version__
copyright = author
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["templates"]
exclude_patterns = ["_build", "templates"]
html_theme = "furo"
html_title = f"fastconv {release}"
html_static_path = ["static"]
html_css_files = ["wide.css"]
default_role = "autolink"  # a name in backticks is a link where there is one

myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say more
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# These five make a figure and are run, from stored weights where training takes minutes; the others they import.
EXAMPLES = ("receptive_fields", "four_ways_up", "dense_prediction", "super_resolution", "denoise")
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": rf"/({'|'.join(EXAMPLES)})\.py$",
    "ignore_pattern": rf"(^|/)(?!({'|'.join(EXAMPLES)})\.py$)\w+\.py$",
    "within_subsection_order": "ExampleTitleSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "plot_gallery": True,
}
