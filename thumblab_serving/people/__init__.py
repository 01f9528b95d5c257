"""Read and change faces, clusters and people for the service."""
