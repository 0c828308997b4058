#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# doctor.sh PYTHON run|dev: checks what PyPI can't bring. As root it installs what is missing with apt; otherwise it
# names it in one apt line and fails. `dev` adds what only the tests need.
set -euo pipefail
python=$1
level=$2
missing=()

has_library() { "$python" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null; }
python_is() { "$python" -c "import os, sys, sysconfig; sys.exit(not ($1))" 2>/dev/null; }
need() { # need APT_PACKAGE COMMAND...: the package is missing unless the command succeeds
    local package=$1
    shift
    "$@" || missing+=("$package")
}

examine() {
    missing=()
    need python3 python_is True
    need python3-venv "$python" -c "import ensurepip, venv" 2>/dev/null
    need python3-dev python_is "os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h'))"
    need libegl1 has_library libEGL.so.1
    need libopengl0 has_library libOpenGL.so.0
    [ "$level" = run ] || need libz3-4 has_library libz3.so.4
    need libgl1-mesa-dri compgen -G "/usr/lib/*/dri/*_dri.so" >/dev/null
    need g++ command -v c++ >/dev/null
}

if [ "$(uname -m)" != x86_64 ]; then
    echo "ROS 2 has PyPI wheels for x86_64 only, this machine is $(uname -m): see 'On a robot' in README.md" >&2
    exit 1
fi
examine
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "gar_ros: installing with apt: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    examine
fi
if [ ${#missing[@]} -gt 0 ]; then
    echo "missing on this machine; install with: sudo apt-get install ${missing[*]}" >&2
    exit 1
fi
if ! python_is "(3, 10) <= sys.version_info < (3, 14)"; then
    echo "ROS 2 has wheels for Python 3.10 to 3.13, $python is $("$python" -V): choose another with PYTHON=python3.x" >&2
    exit 1
fi
