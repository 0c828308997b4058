#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# install_layer.sh VENV LAYER: installs requirements/LAYER.lock, exactly what it lists, and shows how far it has come.
set -euo pipefail
venv=$1
layer=$2
declare -A contents=(
    [ros-jazzy]="ROS 2 Jazzy"
    [ros-kilted]="ROS 2 Kilted"
    [runtime]="ONNX Runtime, OpenCV, tokenizers"
    [sim]="MuJoCo, for the simulated tabletop"
    [dev]="tools of the tests"
    [docs]="Sphinx"
    [export]="torch with CUDA, for export and training: a download of 3 GB, 5.5 GB on disk"
)
lock=$(dirname "$0")/../requirements/$layer.lock
log=$venv/.done/$layer.log

echo "gar_ros: installing ${contents[$layer]}"
PYTHONUNBUFFERED=1 "$venv/bin/pip" install --no-deps --progress-bar off --requirement "$lock" 2>&1 | tee "$log" |
    awk -v on_terminal="$([ -t 1 ] && echo 1)" '
        function show(text) { printf on_terminal ? "\r\033[K  %s" : "  %s\n", text; fflush() }
        /^(Collecting|Processing)/ && (on_terminal || ++count % 25 == 0) { show($2) }
        /^Installing collected packages/ { show("unpacking") }
        END { if (on_terminal) printf "\r\033[K" }' || {
    grep '^ERROR' "$log" >&2
    echo "pip failed; all it said is in $log" >&2
    exit 1
}
