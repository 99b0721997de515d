"""A local server that speaks the Hyperoru API, for demos, tests and CI.

In a test::

    from hyperoru_provider.sandbox import Sandbox

    with Sandbox(error_rate=0.2) as sandbox:
        ...  # sandbox.url, sandbox.email, sandbox.password, sandbox.stats()

From a shell: ``python -m hyperoru_provider.sandbox --port 0``.
"""

from hyperoru_provider.sandbox.faults import FaultError, Faults
from hyperoru_provider.sandbox.server import Sandbox

__all__ = ["FaultError", "Faults", "Sandbox"]
