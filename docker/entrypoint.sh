#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# entrypoint.sh COMMAND...: runs the command in the environment of ROS and of the workspace beside this file.
set -e
workspace=$(dirname "$(readlink -f "$0")")
# shellcheck disable=SC1091
source "$workspace/install/setup.bash" --
exec "$@"
