"""YouTube's Data API: the client, its errors, its answers as records, and the quota ledger."""
