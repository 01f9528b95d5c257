"""Recognise named people in pictures. The pipelines and the service share this code, so both mean the same by a match."""
