"""Join the kept predictions of the scoring service with their outcomes, and measure how good the predictions were."""
