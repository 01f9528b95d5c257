"""Call YouTube's Data API, convert its answers to records, classify its errors, and count the calls in the quota ledger."""
