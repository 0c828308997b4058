"""Subscriptions that fill the memory."""
