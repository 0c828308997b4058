# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that fill the memory."""
