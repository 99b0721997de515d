"""Apache Airflow provider for Hyperoru."""

from hyperoru_provider.version import __version__

__all__ = ["__version__"]
