# SPDX-License-Identifier: Apache-2.0
"""Topics that people and planners see."""
