"""Off the robot, needs torch. In a source checkout the modules live in the top-level `export/` folder."""

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]
if (_CHECKOUT / "package.xml").is_file() and (_CHECKOUT / "export").is_dir():
    __path__.append(str(_CHECKOUT / "export"))
