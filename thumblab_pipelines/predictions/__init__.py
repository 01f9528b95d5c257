"""Join the kept predictions of the scoring service with what happened, and measure how good the predictions were."""
