"""Settings of the computing power: the number of cores that a process uses, and the Ray cluster that embeds, measures
and trains for the lab.
"""
