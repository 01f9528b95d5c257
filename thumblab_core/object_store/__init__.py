"""Read and write objects in S3, Google Cloud Storage or Azure Blob Storage, with conditional writes."""
