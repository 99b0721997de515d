"""The HTTP provider's operator in a DAG: the rows go through XCom to a second task, which writes them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.dags.through_xcom import dag, warm_up
from benchmarks.job import Check, Job, in_json_lines

# dag.test() starts an API server in this process, which takes seconds. A deployment has one running.
warm_up.test()


def run(job: Job) -> Check:
    """Run the DAG in this process."""
    finished = dag.test()
    if finished.state != "success":
        raise RuntimeError(f"The DAG run is {finished.state}.")
    return lambda: in_json_lines(Path(job.directory))
