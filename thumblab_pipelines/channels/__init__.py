"""Channel adapters. The modules collect a channel's videos, fit its adapter, evaluate the adapter and serve it."""
