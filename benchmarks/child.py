"""Runs one contender in this process, and writes what it cost to a file: ``python -m benchmarks.child NAME RESULT``."""

from __future__ import annotations

import cProfile
import io
import json
import pstats
import resource
import sys
import time
from pathlib import Path

from airflow.sdk import DAG, BaseHook, BaseOperator, ObjectStoragePath

from benchmarks.contenders import CONTENDERS
from benchmarks.job import given

#: loaded in every contender's process, as any DAG file does it
AIRFLOW = (DAG, BaseHook, BaseOperator, ObjectStoragePath)
_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def main(name: str, result: str, *options: str) -> None:
    """Do the job; note seconds, CPU seconds, peak memory, what landed, and a profile if asked for."""
    profiler = cProfile.Profile() if "--profile" in options else None
    run, job = CONTENDERS[name].load(), given()
    CONTENDERS[name].make_ready(job)
    cpu, begun = _cpu(), time.perf_counter()
    check = profiler.runcall(run, job) if profiler else run(job)
    seconds, cpu = time.perf_counter() - begun, _cpu() - cpu
    peak = max(resource.getrusage(who).ru_maxrss for who in _WHO) * _UNIT
    landed = check()
    profile = io.StringIO()
    if profiler:
        pstats.Stats(profiler, stream=profile).strip_dirs().sort_stats("tottime").print_stats(25)
    total = None if landed.total is None else str(landed.total)
    cost = {"seconds": seconds, "cpu": cpu, "peak": peak, "profile": profile.getvalue()}
    Path(result).write_text(json.dumps({"cost": cost, "rows": landed.rows, "total": total}))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in _WHO]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main(*sys.argv[1:])
