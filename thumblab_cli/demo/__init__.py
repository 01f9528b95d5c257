"""The demo, which runs every step of the lab from an empty folder to a ranking. It works on a lab of its own."""
