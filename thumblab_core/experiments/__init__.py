"""Check, store, read and plan experiments, in which a creator tries two or three variants on one video.

The pipelines and the service use the same records, rules and tables.
"""
