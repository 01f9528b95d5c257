"""Experiments: what happened when a creator tried two or three variants on one video. Store, report and plan them."""
