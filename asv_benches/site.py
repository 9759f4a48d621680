"""Publish the dashboard so that it opens anywhere: from a file manager, with no network and no server.

    python -m asv_benches.site [-o FOLDER]

`asv publish` writes pages that load ten files from other sites and their own data by requests, which a browser refuses
for files. Here those files come from pinned packages of npm's registry, checked by their hashes, and lie beside the
pages with their licences; the data is one more script, from which the pages' requests are answered.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Package(NamedTuple):
    """A package of npm's registry: what of it the pages load, in place of which address."""

    name: str
    sha256: str
    licence: str
    files: dict[str, str]  # member of the package: the end of the address


PACKAGES = (
    Package(
        "jquery@3.3.1",
        "2c7c70a1e796c1568ff05d45a8cb2da2a0fc6e37426c65e4eef6ee55e217933e",
        "LICENSE.txt",
        {"dist/jquery.min.js": "jquery-3.3.1.min.js"},
    ),
    Package(
        "flot@0.8.3",
        "5e4cea78a9efa2d3dbba363ac76c688951e6c638ee916883c36e23516208b1ed",
        "LICENSE.txt",
        {
            "jquery.flot.js": "jquery.flot.min.js",
            "jquery.flot.time.js": "jquery.flot.time.min.js",
            "jquery.flot.selection.js": "jquery.flot.selection.min.js",
            "jquery.flot.categories.js": "jquery.flot.categories.min.js",
        },
    ),
    Package(
        "flot-orderbars@1.0.0",
        "e5523ee7cca778f194b34fc31afb6dda40bf1557e6669fda4730c29f53e87101",
        "package.json",  # names the licence, MIT; the package has no text of it
        {"js/jquery.flot.orderBars.js": "jquery.flot.orderBars.js"},
    ),
    Package(
        "stupid-table-plugin@1.1.3",
        "1186089584b7c2f7fec9ad4232e9aa1adbfea273eaa233b713beb8c2c916b4ac",
        "LICENSE",
        {"stupidtable.min.js": "stupidtable.min.js"},
    ),
    Package(
        "blueimp-md5@2.19.0",
        "0fff5798c7733b21f3e4c0de69ccba12af266e0f01c3e3a41051c0e49a655512",
        "LICENSE.txt",
        {"js/md5.min.js": "md5.min.js"},
    ),
    Package(
        "bootstrap@3.1.1",
        "23b27da4dd80b8fbe8972ac4be87037627e007ad5dd1edb27435844f0a4646a0",
        "LICENSE",
        {"dist/js/bootstrap.min.js": "bootstrap.min.js", "dist/css/bootstrap.min.css": "bootstrap.min.css"},
    ),
)

# Answers the pages' requests from the data that was loaded as a script; what is not in it goes its old way.
ANSWERS = """
(function () {
  var data = window.dashboardData, ask = $.ajax;
  $.ajax = function (options) {
    var file = decodeURIComponent(String(options.url).split("?")[0]);
    if (!Object.prototype.hasOwnProperty.call(data, file)) return ask.apply($, arguments);
    var answer = $.Deferred();
    setTimeout(function () { answer.resolve(data[file]); }, 0);
    return answer.promise();
  };
})();
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m asv_benches.site", description=__doc__.split("\n\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=HERE / "html", metavar="FOLDER", help="asv_benches/html")
    output = parser.parse_args(arguments).output.resolve()
    if shutil.which("npm") is None:
        parser.error("npm is not installed, and fetches the scripts of the pages: e.g. apt-get install npm")
    publish(output)
    leave_out_the_empty(output)
    bring_scripts(output)
    embed_data(output)
    print(f"open {output / 'index.html'}")
    return 0


def publish(output: Path) -> None:
    subprocess.run([sys.executable, "-m", "asv", "publish", "--html-dir", str(output)], cwd=HERE, check=True)


def leave_out_the_empty(output: Path) -> None:
    """Drop what has no result yet from the list: its graph would be an error message."""
    index = json.loads((output / "index.json").read_text())
    drawn = {path.stem for path in (output / "graphs").rglob("*.json")}
    index["benchmarks"] = {name: entry for name, entry in index["benchmarks"].items() if name in drawn}
    (output / "index.json").write_text(json.dumps(index))


def bring_scripts(output: Path) -> None:
    """Put the packages' files beside the pages, and load those."""
    vendor = output / "vendor"
    vendor.mkdir(exist_ok=True)
    page = (output / "index.html").read_text()
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            members = unpack(package, Path(folder))
            (vendor / f"{package.name}.licence.txt").write_bytes(members[package.licence])
            for member, address in package.files.items():
                (vendor / Path(member).name).write_bytes(members[member])
                page, found = re.subn(rf'"https://[^"]*/{re.escape(address)}"', f'"vendor/{Path(member).name}"', page)
                if found != 1:
                    raise RuntimeError(f"index.html loads {address} {found} times, expected once: has asv changed?")
    page = re.sub(r' (integrity|crossorigin|referrerpolicy|onerror)="[^"]*"', "", page)
    left = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', page)
    if left:
        raise RuntimeError(f"index.html still loads from elsewhere: {left}")
    (output / "index.html").write_text(page)


def unpack(package: Package, folder: Path) -> dict[str, bytes]:
    """Fetch a package from the registry that npm is set up for; return its files."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", package.name], cwd=folder, check=True, capture_output=True, text=True
    )
    archive = folder / packed.stdout.strip().splitlines()[-1]
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise RuntimeError(f"{package.name} has the hash {digest}, expected {package.sha256}")
    with tarfile.open(archive) as members:
        files = {m.name.partition("/")[2]: members.extractfile(m) for m in members if m.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def embed_data(output: Path) -> None:
    """Write the data as a script, and have the page load it before its own."""
    files = {str(path.relative_to(output)): json.loads(path.read_text()) for path in sorted(output.rglob("*.json"))}
    text = json.dumps(files, separators=(",", ":")).replace("</", "<\\/")
    (output / "data.js").write_text(f"window.dashboardData = {text};\n{ANSWERS}")
    page = (output / "index.html").read_text()
    first = '<script language="javascript" type="text/javascript"\n            src="asv.js">'
    if page.count(first) != 1:
        raise RuntimeError("index.html does not load asv.js where it did: has asv changed?")
    (output / "index.html").write_text(page.replace(first, f'<script src="data.js"></script>\n    {first}'))


if __name__ == "__main__":
    sys.exit(main())
