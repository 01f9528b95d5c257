"""Build model releases, decide which one is served, and record them in MLflow."""
