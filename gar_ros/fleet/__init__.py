# SPDX-License-Identifier: Apache-2.0
"""Works through many jobs: one after another in this process, or with workers on a Ray cluster."""
