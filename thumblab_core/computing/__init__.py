"""Settings of the computing power: the number of cores that a process uses, and the Ray cluster that encodes pictures
for the lab."""
