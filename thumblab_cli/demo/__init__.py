"""The demo, which runs every step of the lab from an empty folder to a ranking. The demo works on its own lab."""
