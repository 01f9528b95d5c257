"""Store and list experiments that are sent to the service."""
