"""Settings of the computing power: the number of cores that a process uses, and the cluster that works for the lab."""
