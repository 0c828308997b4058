# SPDX-License-Identifier: Apache-2.0
"""The torch side of gar_ros: export, parity checks and training. Off the robot; nothing but `gar export` imports it."""
