"""Define the assets that refresh and delete collected data, as YouTube's policies require, and their jobs."""
