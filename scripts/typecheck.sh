#!/usr/bin/env bash
# typecheck.sh VENV: mypy over the tree as it is installed, with export/ as gar_ros.export.
set -euo pipefail
venv=$(realpath "$1")
cd "$(dirname "$0")/.."
tree=build/types
rm -rf "$tree"
mkdir -p "$tree"
cp --recursive --symbolic-link "$PWD/gar_ros" "$PWD/tests" "$PWD/scripts" "$PWD/setup.py" "$tree"
cp --recursive --symbolic-link "$PWD/export/." "$tree/gar_ros/export/"
cd "$tree"
"$venv/bin/mypy" --config-file ../../pyproject.toml .
