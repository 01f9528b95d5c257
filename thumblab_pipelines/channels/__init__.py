"""Channel adapters: collect a channel's videos, fit its adapter, evaluate and serve it."""
