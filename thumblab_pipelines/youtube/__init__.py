"""YouTube's public API: the client, its errors, its answers as records, and the ledger of what it may still be asked."""
