"""Adapters of single channels: collect a channel, learn its adapter, check it."""
