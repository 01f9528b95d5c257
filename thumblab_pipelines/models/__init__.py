"""Build model releases, log them to MLflow, and decide which release is served."""
