"""A local server that speaks the Hyperoru API, for demos, tests and CI; needs the extra ``sandbox``.

In a test::

    from hyperoru_provider.sandbox import Sandbox

    with Sandbox(error_rate=0.2) as sandbox:
        ...  # sandbox.url, sandbox.email, sandbox.password, sandbox.stats()

From a shell: ``python -m hyperoru_provider.sandbox --port 0``.
"""

try:
    from hyperoru_provider.sandbox.faults import FaultError, Faults
    from hyperoru_provider.sandbox.server import Sandbox
except ModuleNotFoundError as error:
    package = str(error.name).partition(".")[0]
    if package not in ("starlette", "uvicorn", "websockets"):
        raise
    raise ModuleNotFoundError(
        f"The sandbox needs {package}: pip install 'airflow-provider-hyperoru[sandbox]'", name=error.name
    ) from error

__all__ = ["FaultError", "Faults", "Sandbox"]
