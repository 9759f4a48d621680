"""The dashboard, built and opened as a file in a browser that can resolve no name."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
GRAPH = "exact.Instructions.track_instructions"


def reason():
    """Why there is no dashboard to be opened here, or None."""
    if not (ROOT / ".git").exists():
        return "publishes the history of a checkout"
    missing = [] if BROWSER else ["chromium"]
    missing += [tool for tool in ("git", "npm") if shutil.which(tool) is None]
    missing += ["asv"] if importlib.util.find_spec("asv") is None else []
    return f"needs {', '.join(missing)}" if missing else None


pytestmark = pytest.mark.skipif(reason() is not None, reason=str(reason()))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dashboard")
    command = [sys.executable, "-m", "asv_benches.site", "-o", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def browse(site, page, tmp_path, *what):
    """What Chromium says of a page once its scripts are done. No name resolves, and nothing else can be asked."""
    settings = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1500,1000"]
    settings += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"]
    settings += ["--virtual-time-budget=15000", *what]
    command = [BROWSER, *settings, f"{(site / 'index.html').as_uri()}#{page}"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, cwd=tmp_path).stdout


def test_nothing_is_loaded_from_elsewhere(site):
    page = (site / "index.html").read_text()
    loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="([^"]*)"', page)
    assert loaded
    for name in loaded:
        assert "//" not in name
        assert (site / name).is_file(), name
    assert len(list((site / "vendor").glob("*.licence.txt"))) == 6


def test_the_grid_shows_every_module(site, tmp_path):
    text = browse(site, "/", tmp_path, "--dump-dom")
    for module in ("conv", "depthwise", "dilated", "transposed", "shuffle", "pool", "exact", "calls"):
        assert f">{module}<" in text
    assert "Instructions per multiply-add" in text


def test_a_graph_has_its_lines(site, tmp_path):
    text = browse(site, GRAPH, tmp_path, "--dump-dom")
    assert "resnet50_3x3_64_56x56" in text
    image = pytest.importorskip("PIL.Image")
    browse(site, GRAPH, tmp_path, f"--screenshot={tmp_path / 'graph.png'}", "--hide-scrollbars")
    picture = image.open(tmp_path / "graph.png").convert("RGB").crop((560, 120, 1460, 860))  # right of the legend
    colours = {pixel for _, pixel in picture.getcolors(1 << 24) if max(pixel) - min(pixel) > 60}
    coloured = sum(count for count, pixel in picture.getcolors(1 << 24) if pixel in colours)
    assert coloured > 1500  # points alone are some 40 pixels each


def test_the_list_of_regressions(site, tmp_path):
    text = browse(site, "/regressions", tmp_path, "--dump-dom")
    body = text[text.index('id="regressions-body"') :]
    assert "<table" in body or "No regressions" in body
