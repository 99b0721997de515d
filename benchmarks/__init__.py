"""How fast the provider is, and how much memory it takes, beside what a user would take instead.

``python -m benchmarks`` from the project's directory, with the dependency group ``bench`` installed; ``--help`` tells
the options. Every contender fetches the same rows from the same local server, each in a fresh process of its own.
"""
