"""Prints a report for people."""

from __future__ import annotations

import json

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hyperoru_provider.client.escaping import printable
from hyperoru_provider.doctor.report import Question, Report, Verdict

_COLOURS = {
    Verdict.WORKS: "green",
    Verdict.DIFFERS: "yellow",
    Verdict.REFUSED: "red",
    Verdict.ABSENT: "dim",
    Verdict.UNKNOWN: "magenta",
}


def show(report: Report, console: Console) -> None:
    """Print a report: the table, what only the user can know, and the override."""
    table = Table("Resource", "Verdict", "What was seen", title=f"{report.base_url}, by {report.requests} requests")
    for each in report.resources:
        texts = [*each.notes, *([json.dumps(each.override)] if each.override else [])]
        colour = _COLOURS[each.verdict]
        table.add_row(each.resource, f"[{colour}]{each.verdict}[/]", escape("\n".join(map(printable, texts))))
    console.print(table)
    for question in report.questions:
        _ask(console, question)
    _list(console, "Warnings", [text for each in report.resources for text in each.warnings])
    _list(console, "Believed without proof", [text for each in report.resources for text in each.believed])
    _list(
        console,
        "What no override can do",
        [text for each in report.resources for text in (*each.impossible, *each.limits)],
    )
    _conclude(report, console)


def _ask(console: Console, question: Question) -> None:
    counts = [
        f"{value}: {'at least ' if value in question.full else ''}{rows} rows" for value, rows in question.rows.items()
    ]
    if len(set(question.rows.values())) == 1:
        counts.append("but not the same ones")
    answers = " or ".join(f"--set {question.switch}={value}" for value in question.rows if value[0] != "(")
    text = f"It decides which {question.resource} there are ({', '.join(counts)}). Run the doctor again with {answers}."
    console.print(f"[bold]Which {escape(printable(question.switch))} do you mean?[/] {escape(printable(text))}")


def _conclude(report: Report, console: Console) -> None:
    """Print what follows from it all, in the end."""
    if not report.reached:
        console.print(f"[red]The server could not be examined:[/] {escape(printable(report.reason))}")
    elif report.changed:
        console.print('Put this into the connection\'s extra, as its "contract":')
        console.print(json.dumps(report.contract, indent=2), markup=False, highlight=False, soft_wrap=True)
    else:
        fits = "What was found was put into the connection" if report.written else "The contract fits as it is"
        but = f", but these are refused or can't be read: {', '.join(report.unreadable)}" if report.unreadable else ""
        console.print(f"{fits}{but or ': there is nothing to change'}.")


def _list(console: Console, title: str, texts: list[str]) -> None:
    if texts:
        console.print(f"[bold]{title}:[/]")
    for text in texts:
        console.print(f"- {escape(printable(text))}")
