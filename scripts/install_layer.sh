#!/usr/bin/env bash
# install_layer.sh VENV LAYER: installs requirements/LAYER.lock, exactly what it lists, and shows how far it has come.
set -euo pipefail
venv=$1
layer=$2
declare -A contents=(
    [ros]="ROS 2 Jazzy (70 MB)"
    [runtime]="ONNX Runtime, OpenCV, tokenizers"
    [sim]="MuJoCo, for the simulated tabletop"
    [dev]="tools of the tests"
    [export]="torch with CUDA, for export and training: a download of 2.5 GB, 5.5 GB on disk"
)
lock=$(dirname "$0")/../requirements/$layer.lock

echo "gar_ros: installing ${contents[$layer]}"
PYTHONUNBUFFERED=1 "$venv/bin/pip" install --no-deps --progress-bar off --requirement "$lock" |
    awk -v total="$(grep -c '^[a-z]' "$lock")" -v shows_lines="$([ -t 1 ] || echo 1)" '
        function show(text) { printf shows_lines ? "  %s\n" : "\r\033[K  %s", text; fflush() }
        /^(Collecting|Requirement already satisfied)/ { if (++count % 25 == 0 || !shows_lines) show(count " of " total " " $2) }
        /^Installing collected packages/ { show("unpacking") }
        END { if (!shows_lines) printf "\r\033[K" }'
