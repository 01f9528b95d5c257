"""Pydantic models of requests and answers. The OpenAPI document describes requests and answers by these models."""
