"""The code that imports the true click-through rate of an owner's own videos."""
