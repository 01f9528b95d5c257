"""The API keys of the scoring service: the lab's own key, and named keys with scopes."""
