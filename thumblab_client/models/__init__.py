"""The answers of the service as dataclasses. They have the names of the schemas in OpenAPI."""
