"""The title panel, and the models of titles that are compared on this panel."""
