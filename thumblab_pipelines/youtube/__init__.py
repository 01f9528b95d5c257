"""Call YouTube's Data API, convert its answers to records, classify its errors, and keep the ledger of its quota."""
