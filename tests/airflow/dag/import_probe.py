"""Measures what imports cost over Airflow's names that each DAG file needs.

The arguments are modules. Each is imported in fresh processes, forked from one that has imported nothing else, so
that what one import leaves behind does not help another. The answer is a JSON object of modules on the output: the
fewest milliseconds of some tries, for people; the calls of functions, which are the same on a busy machine; and the
modules that came with it.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import airflow.triggers.base  # noqa: F401
from airflow.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator  # noqa: F401

TRIES = 5


def in_a_process(measure: Callable[[str], Any], module: str) -> Any:
    """Return what a function of the module answers in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(writer, "w") as answer:
            json.dump(measure(module), answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        measured = json.load(answer)
    os.waitpid(child, 0)
    return measured


def milliseconds(module: str) -> float:
    begin = time.process_time()
    import_module(module)
    return (time.process_time() - begin) * 1000


def calls_and_modules(module: str) -> tuple[int, list[str]]:
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = set(sys.modules)
    sys.setprofile(count)
    import_module(module)
    sys.setprofile(None)
    return calls, sorted(set(sys.modules) - before)


if __name__ == "__main__":
    # The collector would look through all of Airflow's objects now and then: no cost of the import that it falls upon.
    gc.collect()
    gc.freeze()
    found = {}
    for name in sys.argv[1:]:
        calls, modules = in_a_process(calls_and_modules, name)
        best = min(in_a_process(milliseconds, name) for _ in range(TRIES))
        found[name] = {"milliseconds": best, "calls": calls, "modules": modules}
    print(json.dumps(found))
