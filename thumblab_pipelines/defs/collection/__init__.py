"""What the library and the model draw on beside the daily refresh."""
