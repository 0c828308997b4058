# SPDX-License-Identifier: Apache-2.0
"""An exported model folder."""
