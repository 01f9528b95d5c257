"""Compare the speed of embedding on a Ray cluster with one worker and with two workers."""
