"""The Hyperoru API as a Python client, without Airflow: httpx, msgspec and pydantic."""

from hyperoru_provider.client.client import AsyncHyperoruClient, HyperoruClient

__all__ = ["AsyncHyperoruClient", "HyperoruClient"]
