"""The page of a report: one file for any screen, which nothing that a server wrote can break out of."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.params.window import Window
from hyperoru_provider.report.charts import COLOURS, WIDTHS, draw_charts
from hyperoru_provider.report.coverage import Coverage
from hyperoru_provider.report.figures import Figures
from hyperoru_provider.report.fills import Fill, _decimal, _values
from hyperoru_provider.report.page import write_page
from tests.hostile import VALUES

pytestmark = pytest.mark.slow

START = datetime(2026, 1, 5, tzinfo=UTC)
COVERAGE = Coverage.of([({}, Window(START, START + timedelta(days=7)))])
WITH_A_GAP = Coverage.of(
    [({}, Window(START, START + timedelta(days=2))), ({}, Window(START + timedelta(days=3), COVERAGE.span.end))]
)
TEXTS = [
    *(json.loads(VALUES[name]) for name in ("nul", "controls", "half_an_emoji", "bidi", "a_megabyte")),
    "$x^2$",
    "</svg></style></title><script>alert(1)</script>",
    "&lt;b&gt; \" onload='x'",
    "{{ 7 * 7 }}",
]
VOID = {"meta", "br", "hr", "img", "link", "input"}


def fills(count: int = 50, **fields: object) -> list[Fill]:
    """Return trades as they are kept, with some fields as a server may send them."""
    made = []
    for number in range(count):
        sent = {
            "trade_id": number,
            "account_id": 1 + number % 2,
            "account_name": "Atlas",
            "symbol": ("BTC", "ETH")[number % 2],
            "side": "SELL",
            "price": "50000.5",
            "quantity": "0.25",
            "commission": "1.5",
            "realized_pnl": str(number * 7 % 50 - 20),
            "trade_time": START + timedelta(hours=number * 3),
        }
        _, *texts = _values(Trade.model_validate(sent | fields))
        amounts = [_decimal(text if text is None else str(text)) for text in texts[5:]]
        made.append(Fill(START + timedelta(hours=number * 3), *texts[:5], *amounts))  # type: ignore[arg-type]
    return made


def page_of(rows: list[Fill], title: str | None = None, coverage: Coverage = COVERAGE) -> str:
    figures = Figures(coverage, rows)
    return write_page(figures, draw_charts(figures), title, 1)


class Elements(HTMLParser):
    """The elements of a page, of which each has to be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data


def test_it_is_one_file_that_needs_no_network_and_no_script() -> None:
    page = Elements(page_of(fills()))
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.tags)
    references = [value for name, value in page.attributes if name in ("href", "src", "xlink:href")]
    assert references
    assert all(value.startswith("#") for value in references)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in re.sub(r"url\(#", "", str(page.attributes))
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_each_name_is_there_once_and_each_reference_finds_its_own() -> None:
    page = Elements(page_of(fills(), coverage=WITH_A_GAP))
    names = Counter(value for name, value in page.attributes if name == "id")
    assert max(names.values()) == 1
    wanted = {each for _, value in page.attributes for each in re.findall(r"url\(#([^)]*)\)", value)}
    wanted |= {value[1:] for name, value in page.attributes if name == "xlink:href"}
    wanted |= {each for name, value in page.attributes if name == "aria-labelledby" for each in value.split()}
    assert wanted
    assert wanted <= set(names)


def test_charts_are_svg_in_the_colours_and_the_font_of_the_page() -> None:
    charts = draw_charts(Figures(COVERAGE, fills()))
    assert set(charts) == {"equity", "periods", "symbols", "rows"}
    for chart in charts.values():
        assert set(chart) == set(WIDTHS)
        for svg in chart.values():
            root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
            assert [child.tag for child in root][:2] == ["title", "desc"]
            assert all(child.text for child in root[:2])
            assert {*root.iter("text")}
            assert not re.findall(r"#[0-9a-f]{6}\b(?!\))", re.sub(r'"#[^"]*"', "", svg))
            assert "font-family" not in svg
    page = page_of(fills())
    for name in COLOURS.values():
        assert len(re.findall(rf"--{name}: #[0-9a-f]{{6}};", page)) == 2  # one by day, one by night


def test_the_same_trades_give_the_same_page() -> None:
    assert page_of(fills()) == page_of(fills())


def test_a_report_without_trades_says_so() -> None:
    page = Elements(page_of([]))
    assert "There are no trades in this time." in page.text
    assert not page.tags["svg"]
    assert not page.tags["table"]
    assert "Win rate–0 of 0 closing trades" in page.text


def test_what_is_not_known_and_not_exported_is_said() -> None:
    known = Elements(page_of(fills()))
    assert "Not all" not in known.text
    page = Elements(page_of(fills(realized_pnl=None), coverage=WITH_A_GAP))
    assert "Not all of this time was exported." in page.text
    assert "2026-01-07" in page.text
    assert "50 of 50 trades have no realized PnL." in page.text


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:20])
def test_nothing_that_a_server_wrote_gets_out(text: str) -> None:
    fields = ("symbol", "account_name", "account_id", "side", "direction")
    page = page_of(fills(50, **dict.fromkeys(fields, text)), text)
    allowed = Elements(page_of(fills(50, **dict.fromkeys(fields, "a"))))
    assert set(Elements(page).tags) == set(allowed.tags)
    assert re.sub("[\n\N{NO-BREAK SPACE}]", "", page).isprintable()
    assert len(page) < 300_000


def test_amounts_beyond_any_screen_are_drawn() -> None:
    page = Elements(page_of(fills(realized_pnl="9e399", commission="-1e-399", notional="1e350")))
    assert page.tags["svg"] == 8


@pytest.mark.parametrize(
    "length", [timedelta(seconds=1), timedelta(hours=30), timedelta(days=400), timedelta(days=9000)]
)
def test_any_length_of_time_is_drawn(length: timedelta) -> None:
    coverage = Coverage.of([({}, Window(START, START + length))])
    assert Elements(page_of(fills(1), coverage=coverage)).tags["svg"] == 8


def test_the_title_is_that_of_the_user_or_whose_trades_they_are() -> None:
    assert "<h1>Trades of all traders</h1>" in page_of(fills())
    assert "<h1>Trades of Atlas (7)</h1>" in page_of(fills(account_id=7))
    assert "<h1>Tom &amp; &lt;Jerry&gt;</h1>" in page_of(fills(), "Tom & <Jerry>")
