"""Measures what imports cost over Airflow's names that each DAG file needs.

The arguments are modules. Each is imported in fresh processes, forked from one that has imported nothing else, so
that what one import leaves behind does not help another. The answer is a JSON object of modules on the output:
the milliseconds of each try, and the modules that came with it. On a busy machine most tries are disturbed, so there
are more of them until one was quick.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from importlib import import_module

import airflow.triggers.base  # noqa: F401
from airflow.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator  # noqa: F401

TRIES, MOST_TRIES = 5, 25
QUICK = 15.0  # milliseconds


def cost(module: str) -> tuple[float, list[str]]:
    """Import a module in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        before = set(sys.modules)
        begin = time.process_time()
        import_module(module)
        spent = (time.process_time() - begin) * 1000
        new = sorted(set(sys.modules) - before)
        with os.fdopen(writer, "w") as answer:
            json.dump([spent, new], answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        spent, new = json.load(answer)
    os.waitpid(child, 0)
    return spent, new


if __name__ == "__main__":
    # The collector would look through all of Airflow's objects now and then: no cost of the import that it falls upon.
    gc.collect()
    gc.freeze()
    found = {}
    for name in sys.argv[1:]:
        costs = [cost(name) for _ in range(TRIES)]
        while min(costs)[0] > QUICK and len(costs) < MOST_TRIES:
            costs.append(cost(name))
        found[name] = {"milliseconds": [spent for spent, _ in costs], "modules": costs[0][1]}
    print(json.dumps(found))
