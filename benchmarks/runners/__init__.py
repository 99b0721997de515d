"""How each contender does the job. A module is loaded only in a process that measures it.

What a DAG file has at its top is loaded before the clock starts; what a task imports, as late as Airflow advises, is
part of the task's time, as every task of Airflow is a process of its own.
"""
