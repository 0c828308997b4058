# SPDX-License-Identifier: Apache-2.0
"""Image files: pictures, and the masks and boxes that belong to them."""
