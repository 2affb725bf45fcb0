import base64
import importlib
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from bokeh.plotting import figure

from cellular.errors import InputError, MissingInputError
from cellular.report.counts import intervals
from cellular.report.html import Page
from cellular.report.style import save


class Outline(HTMLParser):
    """What a browser would meet: open tags must be closed, and nothing may be fetched."""

    def __init__(self):
        super().__init__()
        self.stack, self.fetched, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "link", "br"):
            self.stack.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and not value.startswith("#")]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parse(page: Page) -> Outline:
    outline = Outline()
    outline.feed(page.render())
    assert outline.stack == []
    return outline


def test_a_page_stands_alone(tmp_path):
    drawn, axes = plt.subplots()
    axes.plot([0, 1])
    path = save(drawn, tmp_path / "line.svg", pd.DataFrame({"x": [0, 1]}))
    page = Page("Plate", "one date").section("A").figure(path, "A line.").facts({"cells": 1234}).caveat("Mind this.")
    outline = parse(page)
    icon, picture = outline.fetched
    assert icon == "data:,"  # else a browser looks for a file favicon.ico, and complains
    media, data = picture.split(",", 1)
    assert media == "data:image/svg+xml;base64"
    assert b"<svg" in base64.b64decode(data)
    assert "1,234" in outline.text
    assert drawn.number not in plt.get_fignums()


def test_text_from_files_cannot_become_markup(tmp_path):
    evil = "<script>alert('x')</script>"
    page = Page(evil, evil, evil).section(evil).text(evil).caveat(evil).facts({evil: evil})
    page.table(pd.DataFrame({evil: [evil]}), caption=evil, folded=True)
    path = page.write(tmp_path / "page.html")
    assert "<script" not in path.read_text(encoding="utf-8")
    assert parse(page).text.count(evil) >= 8


def test_numbers_are_readable_and_long_tables_cut():
    table = pd.DataFrame(
        {
            "a": [0.123456, np.nan, 123456.7],
            "b": [1, 20000, 3],
            "c": [True, False, None],
            "d": pd.Series(["x", None, "z"]),
        }
    )
    text = " ".join(parse(Page("p").table(table)).text)
    for shown in ("0.1235", "–", "123,457", "20,000", "yes", "no"):
        assert shown in text
    assert "2 more rows" in " ".join(parse(Page("p").table(table, rows=1)).text)


def test_sections_are_listed_and_reachable():
    text = Page("p").section("First & last").section("Second").render()
    assert re.findall(r'href="(#[^"]+)"', text) == ["#section-1", "#section-2"]
    assert re.findall(r'<h2 id="([^"]+)"', text) == ["section-1", "section-2"]
    assert "First &amp; last" in text


def test_pictures_from_files(tmp_path):
    (tmp_path / "a.svg").write_text("<svg/>")
    assert "data:image/svg+xml;base64," in Page("p").figure(tmp_path / "a.svg").render()
    with pytest.raises(MissingInputError, match=r"b\.png"):
        Page("p").figure(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"\.bmp"):
        Page("p").figure(tmp_path / "b.bmp")


def test_a_figure_is_saved_as_svg_with_its_data_or_not_at_all(tmp_path):
    with pytest.raises(ValueError, match="SVG"):
        save(plt.figure(), tmp_path / "a.png", pd.DataFrame({"x": [1]}))
    assert not list(tmp_path.iterdir())
    plt.close("all")


def test_figures_stand_beside_each_other(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.svg").write_text("<svg/>")
    page = Page("p").figures({"one & two": tmp_path / "a.svg", "three": tmp_path / "b.svg"})
    parse(page)
    assert page.render().count("<figure>") == 2
    assert page.render().count('<div class="pair">') == 1
    assert "one &amp; two" in page.render()


def test_what_is_interactive_has_the_same_bytes_each_time():
    """Bokeh counts its models on through a process, and names what it draws at random."""

    def drawn():
        document = Document()
        plot = figure(width=200, height=200)
        plot.scatter([1, 2], [3, 4])
        document.add_root(plot)
        return Page("p").interactive(document, {}).render()

    first = drawn()
    importlib.import_module("panel")  # it registers scripts of its own with Bokeh, which no page may name
    assert first == drawn()
    assert not re.search(r"<script[^>]* src=", first)
    assert first.count('<div id="live"></div>') == 1
    assert int(re.search(r'"root_id":"p(\d+)"', first)[1]) < 10


def test_an_interval_has_its_estimate_in_print_too():
    """Of three digits, 2404 had an interval of 2.4e+03 to 2.4e+03, and 9999.7 was 1e+04."""
    table = pd.DataFrame({"estimate": [2404.0, 9999.7, 0.031567], "low": [2403.0, np.nan, 0.03141]})
    told = table.assign(ends=intervals(table["low"], table["low"] + 2))
    cells = [text for text in parse(Page("t").table(told[["estimate", "ends"]])).text if text[0] in "0129–"]
    assert cells == ["2,404", "2,403 to 2,405", "10,000", "–", "0.03157", "0.03141 to 2.031"]


def test_links_lead_to_files_of_any_name(tmp_path):
    drawn, _ = plt.subplots()
    path = save(drawn, tmp_path / "well#1 50%?.svg", pd.DataFrame({"x": [0]}))
    links = parse(Page("t", folder=tmp_path).figure(path, "A figure.")).fetched[-2:]
    assert [(tmp_path / unquote(urlsplit(link).path)).is_file() for link in links] == [True, True]
