"""Recognise named people in pictures. The pipelines and the service share this code, so a match means the same in both."""
