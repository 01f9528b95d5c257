"""Commands that report the state of the lab, and that test where alerts are sent."""
