# SPDX-License-Identifier: Apache-2.0
"""gar_ros: ask questions about the regions a robot sees, answered by GAR."""

from pkgutil import extend_path

# The generated messages live in another folder of the same name (colcon's install
# space, a venv's site-packages): look there too.
__path__ = extend_path(__path__, __name__)
