"""Build model releases, record them in MLflow, and decide which of them is served."""
