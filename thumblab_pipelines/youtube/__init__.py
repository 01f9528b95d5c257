"""The client for YouTube's Data API, with its errors, its answers as records, and the quota ledger."""
