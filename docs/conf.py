# SPDX-License-Identifier: Apache-2.0
"""The site of docs/: `make docs` builds it, and rosdoc2 does with what its own configuration adds."""

from __future__ import annotations

import os.path
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
# Interfaces are in a build, not in the checkout; of the rest, what is not installed is mocked.
_USED = ("builtin_interfaces", "cv2", "numpy", "onnxruntime", "PIL", "rclpy", "tokenizers")
autodoc_mock_imports = ["gar_ros.action", "gar_ros.msg", "gar_ros.srv"]
autodoc_mock_imports += [name for name in _USED if find_spec(name) is None]

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
    """Connects what sources and pages go through."""
    app.connect("builder-inited", _mend_copies)
    app.connect("source-read", _read)
    app.connect("html-page-context", _wrap_cells)


def _mend_copies(app: Sphinx) -> None:
    """Gives links that hold to the copies of README.md and the like, which rosdoc2 puts beside its copy of docs/."""
    if _docs(app) != Path(app.srcdir):
        for copy in Path(app.srcdir).glob("*.md"):
            copy.write_text(_with_links(app, copy.read_text(encoding="utf-8"), Path(copy.name), copy), encoding="utf-8")


def _read(app: Sphinx, document: str, source: list[str]) -> None:
    """Gives a page of PAGES its text, and every page links that hold in the site."""
    page = Path(app.srcdir, document)
    if page.parent == _docs(app):
        path = PAGES.get(page.name)
        text = source[0] if path is None else (CHECKOUT / path).read_text(encoding="utf-8")
        source[0] = _with_links(app, text, Path(path or f"docs/{page.name}"), page)


def _wrap_cells(app: Sphinx, document: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Lets lines of table cells break, which the theme forbids."""
    style = "<style>.wy-table-responsive table :is(td, th) { white-space: normal !important }</style>"
    context["metatags"] = context.get("metatags", "") + style


def _docs(app: Sphinx) -> Path:
    """The folder of the pages: rosdoc2 copies docs/ into a root of its own."""
    inner = Path(app.srcdir, "docs")
    return inner if inner.is_dir() else Path(app.srcdir)


def _with_links(app: Sphinx, text: str, path: Path, page: Path) -> str:
    """The text of a file with its links as seen from a page. path: of the file, from the checkout."""

    def link(found: re.Match[str]) -> str:
        target = os.path.normpath(path.parent / found[1])
        for name, other in PAGES.items():
            if target == other:
                target = f"docs/{name}{Path(other).suffix}"
        inside = target.startswith("docs/")
        where = _docs(app) / target.removeprefix("docs/") if inside else CHECKOUT / target
        return f"]({os.path.relpath(where, page.parent)}"

    return _LINK.sub(link, text)
