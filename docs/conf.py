# SPDX-License-Identifier: Apache-2.0
"""The site of docs/: `make docs` builds it, and rosdoc2 does with what its own configuration adds."""

from __future__ import annotations

import os.path
import re
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# rosdoc2 runs a copy of this file, elsewhere, and puts the package's folder on the path.
CHECKOUT = next(
    folder
    for folder in (Path(__file__).resolve().parents[1], *map(Path, sys.path))
    if (folder / "package.xml").is_file() and (folder / "docs").is_dir() and (folder / "gar_ros").is_dir()
)
sys.path.insert(0, str(CHECKOUT))

project = "gar_ros"
author = "gar_ros maintainers"
project_copyright = "the gar_ros contributors, Apache-2.0"
(release,) = re.findall("<version>(.+)</version>", (CHECKOUT / "package.xml").read_text(encoding="utf-8"))
version = release

extensions = ["myst_parser", "sphinx_rtd_theme", "sphinx.ext.autodoc"]
html_theme = "sphinx_rtd_theme"
html_theme_options = {"navigation_depth": 3}
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
_NEEDED = ("builtin_interfaces", "cv2", "msgspec", "numpy", "onnxruntime", "PIL", "platformdirs", "rclpy", "tokenizers")
# The interfaces lie in a build, not in the checkout; the rest is mocked where it is not installed.
autodoc_mock_imports = [f"gar_ros.{kind}" for kind in ("action", "msg", "srv")]
autodoc_mock_imports += [name for name in _NEEDED if find_spec(name) is None]

PAGES = {
    "changelog": "CHANGELOG.rst",
    "contributing": "CONTRIBUTING.md",
    "gar_tiny": "models/gar-tiny/README.md",
    "overview": "README.md",
    "quality": "QUALITY_DECLARATION.md",
    "training": "export/gar_export/train/README.md",
}
"""Pages of the site that have their text elsewhere in the repository; the file in docs/ says where."""

_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def setup(app: Sphinx) -> None:
    """Connects what a source goes through before it is parsed."""
    app.connect("source-read", _read)


def _read(app: Sphinx, document: str, source: list[str]) -> None:
    """Gives a page of PAGES its text, and all pages links that hold in the site."""
    name, folder = document.removeprefix("docs/"), Path("docs")  # rosdoc2's root is one folder up
    if name in PAGES:
        source[0] = (CHECKOUT / PAGES[name]).read_text(encoding="utf-8")
        folder = Path(PAGES[name]).parent
    source[0] = _LINK.sub(partial(_link, folder), source[0])


def _link(folder: Path, link: re.Match[str]) -> str:
    """The link of a file in `folder` of the repository, as it is from docs/."""
    target = os.path.normpath(folder / link[1])
    for name, path in PAGES.items():
        if target == path:
            target = f"docs/{name}{Path(path).suffix}"
    return f"]({os.path.relpath(target, 'docs')}"
