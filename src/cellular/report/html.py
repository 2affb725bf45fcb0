"""One self-contained HTML page: text, tables and pictures in a single file that can be mailed and still opens in years.

page = Page("Plate 7", subtitle="220518-ST")
page.section("Cells").text("Six fields.").table(counts).figure("cells.svg", "What is seen here.")
page.write("report.html")
"""

import base64
import html
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from cellular.errors import InputError, MissingInputError
from cellular.files import whole_file
from cellular.report.counts import number

if TYPE_CHECKING:
    from bokeh.document import Document
    from bokeh.resources import Component

_STYLE = """
:root{--ink:#1c1e21;--soft:#5c636b;--line:#d9dde2;--paper:#fff;--tint:#f5f7f9;--accent:#0072B2}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,"Segoe UI",Roboto,sans-serif;color:var(--ink);background:var(--paper);margin:0}
main{max-width:72rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0}
h2{font-size:1.3rem;margin:2.6rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--line)}
.subtitle{color:var(--soft);margin:.3rem 0 1.2rem}
nav a{margin-right:1rem;color:var(--accent);text-decoration:none}
p{max-width:46rem}
.facts{display:flex;flex-wrap:wrap;gap:.8rem;margin:1.2rem 0}
.fact{background:var(--tint);border-radius:.5rem;padding:.7rem 1rem;min-width:8rem}
.fact b{display:block;font-size:1.45rem;line-height:1.2}
.fact span{color:var(--soft);font-size:.85rem}
pre{background:var(--tint);padding:.6rem 1rem;white-space:pre-wrap;overflow-wrap:anywhere}
.caveat{background:#fff6e5;border-left:4px solid #E69F00;color:#8a4b00;padding:.6rem 1rem;margin:1rem 0;max-width:46rem}
figure{margin:1.4rem 0}
figure img{max-width:min(100%,44rem);height:auto}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(24rem,1fr));gap:0 1.4rem}
figcaption{color:var(--soft);font-size:.9rem;max-width:46rem}
figcaption a{color:var(--accent)}
.live{margin:1rem 0;max-width:100%;overflow-x:auto}
.still{display:none}
.still figure{break-inside:avoid}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.88rem;margin:.8rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .55rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
th.words{text-align:left}
td.words{text-align:left;white-space:normal;overflow-wrap:break-word;min-width:5rem;max-width:38rem}
th{background:var(--tint);white-space:normal;vertical-align:bottom}
@media (max-width:60rem){table{font-size:.74rem}th,td{padding:.2rem .3rem}td.words{min-width:3rem}}
details summary{cursor:pointer;color:var(--accent);margin:.6rem 0}
footer{margin-top:3rem;color:var(--soft);font-size:.85rem}
@media print{
nav,.live{display:none}.still{display:grid}.pair{grid-template-columns:1fr 1fr}
details::details-content{content-visibility:visible}
h2{break-after:avoid}figure,tr{break-inside:avoid}thead{display:table-header-group}
main{max-width:none;padding:0}footer{margin-top:1rem}.scroll{overflow:visible}table{font-size:.62rem}
th,td{padding:.15rem .25rem}td.words{min-width:0}td.long,.wide th{overflow-wrap:anywhere}figure img{max-width:100%}
}
"""

_MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}
# Tables of more columns have the words over them broken on paper.
_WIDE = 12
# Words of more letters are paths and names of files, and may be broken.
_LONG = 20
# What of Bokeh a page carries, and at what quality pictures are embedded: the files beside the page are as they were.
_BOKEH: "tuple[Component, ...]" = ("bokeh", "bokeh-widgets", "bokeh-tables")
# At method 2, libwebp takes a third of its usual time, for 3 % more.
_WEBP: dict[str, Any] = {"format": "webp", "quality": 80, "method": 2}
# How a model is named where Bokeh writes it; in texts of ours there would be a backslash before each quote.
_MODEL = r'"(id|root_id)":"(p\d+)"'


def _embedded(document: "Document") -> str:
    """Mount and script of a document with one root; always the same, where Bokeh counts on through a process."""
    from bokeh.core.types import ID
    from bokeh.embed import json_item

    item = json_item(document.roots[0], ID("live"))
    # Models that another library (Panel) registered with Bokeh; none of a page's are.
    item["doc"].pop("defs", None)
    text = json.dumps(item, separators=(",", ":"))
    counted = sorted({name for _, name in re.findall(_MODEL, text)}, key=lambda name: int(name[1:]))
    new = {name: f"p{number}" for number, name in enumerate(counted)}
    text = re.sub(_MODEL, lambda found: f'"{found[1]}":"{new[found[2]]}"', text).replace("<", "\\u003c")
    # JSON is read several times faster than the same text as JavaScript
    read = 'JSON.parse(document.getElementById("live-data").textContent)'
    return (
        f'<div id="live"></div><script type="application/json" id="live-data">{text}</script>'
        f"<script>Bokeh.embed.embed_item({read})</script>"
    )


class Page:
    """A page built from top to bottom; every method but :meth:`write` and :meth:`render` returns the page itself.

    Text is escaped: file names and messages may hold anything. `folder` is where the page will lie: figures that are
    files there are linked, and so are their data, the CSV file of the same name.
    """

    def __init__(self, title: str, subtitle: str = "", footer: str = "", folder: Path | None = None) -> None:
        self.title, self.subtitle, self.footer, self.folder = title, subtitle, footer, folder
        self._head = ""
        self._body: list[str] = []
        self._sections: list[str] = []

    def section(self, heading: str) -> "Page":
        """Start a section; it is listed at the top of the page."""
        self._sections.append(heading)
        return self._add(f'<h2 id="section-{len(self._sections)}">{html.escape(heading)}</h2>')

    def text(self, text: str) -> "Page":
        """A paragraph."""
        return self._add(f"<p>{html.escape(text)}</p>")

    def caveat(self, text: str) -> "Page":
        """A paragraph that must not be overlooked."""
        return self._add(f'<div class="caveat" role="note">{html.escape(text)}</div>')

    def code(self, text: str) -> "Page":
        """A command, as it is typed."""
        return self._add(f"<pre><code>{html.escape(text)}</code></pre>")

    def facts(self, facts: dict[str, object]) -> "Page":
        """A row of large numbers, each over its name."""
        boxes = (f'<div class="fact"><b>{_cell(v)}</b><span>{html.escape(k)}</span></div>' for k, v in facts.items())
        return self._add(f'<div class="facts">{"".join(boxes)}</div>')

    def table(self, table: pd.DataFrame, *, caption: str = "", rows: int = 40, folded: bool = False) -> "Page":
        """A table; of a longer one the first `rows` rows, and how many were left out."""
        # Long names of columns may go on below, so that tables stay narrow.
        head = "".join(_th(str(name), table.iloc[:rows, k]) for k, name in enumerate(table.columns))
        body = "".join(
            "<tr>" + "".join(_td(value) for value in row) + "</tr>"
            for row in table.head(rows).itertuples(index=False, name=None)
        )
        left_out = f"<p>{len(table) - rows} more rows in the CSV file.</p>" if len(table) > rows else ""
        opened = '<table class="wide">' if len(table.columns) > _WIDE else "<table>"
        text = f"{opened}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        text = f'<div class="scroll" tabindex="0">{text}</div>{left_out}'
        if folded:
            return self._add(f"<details><summary>{html.escape(caption)}</summary>{text}</details>")
        return self._add((f"<p>{html.escape(caption)}</p>" if caption else "") + text)

    def figure(self, picture: str | Path, caption: str = "") -> "Page":
        """A picture file, embedded."""
        data, media = _encoded(Path(picture))
        links = "" if self.folder is None else self._links(Path(picture))
        return self._add(_figure(caption, data, media, links))

    def _links(self, picture: Path) -> str:
        """Where the figure and its data lie, for those who have the folder."""
        data = picture.with_suffix(".csv")
        files = [(picture.suffix[1:].upper(), picture), *([("data (CSV)", data)] if data.is_file() else [])]
        where = ((name, os.path.relpath(path, self.folder).replace(os.sep, "/")) for name, path in files)
        return " ".join(f'<a href="{html.escape(quote(path), quote=True)}">{name}</a>' for name, path in where)

    def interactive(self, document: "Document", still: Mapping[str, np.ndarray]) -> "Page":
        """What Bokeh shows; on paper, and without JavaScript, the pictures (Y, X, 3) `still` by their captions."""
        from bokeh.resources import Resources

        # Not render(): with Panel loaded, it names a script of Panel's too, a file that no page brings along.
        scripts = Resources(mode="inline", components=list(_BOKEH)).js_raw
        self._head = "".join(f"<script>\n{script}\n</script>\n" for script in scripts)
        pictures = "".join(_figure(caption, _webp(picture), "image/webp") for caption, picture in still.items())
        self._add(f'<div class="live">{_embedded(document)}</div>')
        return self._add(
            f'<div class="still pair">{pictures}</div><noscript><style>.still{{display:grid}}</style></noscript>'
        )

    def picture(self, pixels: np.ndarray, caption: str) -> "Page":
        """A picture (Y, X, 3) RGB, embedded."""
        return self._add(_figure(caption, _webp(pixels), "image/webp"))

    def figures(self, pictures: Mapping[str, str | Path]) -> "Page":
        """Pictures by caption, two beside each other where the window is wide enough."""
        start = len(self._body)
        for caption, picture in pictures.items():
            self.figure(picture, caption)
        self._body[start:] = [f'<div class="pair">{"".join(self._body[start:])}</div>']
        return self

    def _add(self, markup: str) -> "Page":
        self._body.append(markup)
        return self

    def render(self) -> str:
        """The whole page as HTML."""
        links = "".join(
            f'<a href="#section-{number}">{html.escape(name)}</a>' for number, name in enumerate(self._sections, 1)
        )
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style>{self._head}</head><body><main>"
            f'<h1>{html.escape(self.title)}</h1><p class="subtitle">{html.escape(self.subtitle)}</p>'
            f"<nav>{links}</nav>{''.join(self._body)}<footer>{html.escape(self.footer)}</footer></main></body></html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page, whole or not at all."""
        with whole_file(path) as temporary:
            temporary.write_text(self.render(), encoding="utf-8")
        return Path(path)


def _encoded(path: Path) -> tuple[str, str]:
    """Base64 text and media type of a picture file."""
    if path.suffix.lower() not in _MEDIA:
        raise InputError(f"{path}: a page can embed {', '.join(_MEDIA)}")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingInputError(f"No such picture: {path}") from error
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if path.suffix.lower() != ".svg" else None
    if pixels is not None:
        return _webp(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)), "image/webp"
    return base64.b64encode(data).decode(), _MEDIA[path.suffix.lower()]


def _webp(picture: np.ndarray) -> str:
    """Base64 text of a picture (Y, X, 3) RGB."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, **_WEBP)
    return base64.b64encode(file.getvalue()).decode()


def _figure(caption: str, data: str, media: str, links: str = "") -> str:
    return (
        f'<figure><img loading="lazy" alt="{html.escape(caption, quote=True)}" src="data:{media};base64,{data}">'
        f"<figcaption>{html.escape(caption)} {links}</figcaption></figure>"
    )


def _th(name: str, values: pd.Series) -> str:
    """A column's head: over words it stands as they do; numbers never wrap, or a part of one would be read as all."""
    words = ' class="words"' if any(isinstance(value, str) for value in values) else ""
    return f"<th{words}>{html.escape(name).replace('_', '_<wbr>')}</th>"


def _td(value: object) -> str:
    """A table's cell; words wrap, and long ones break, so that no table is wider than the page for their sake."""
    if not isinstance(value, str):
        return f"<td>{_cell(value)}</td>"
    long = " long" * any(len(word) > _LONG for word in value.split())
    return f'<td class="words{long}">{_cell(value)}</td>'


def _cell(value: Any) -> str:
    """A table cell: three or four significant digits for fractions, thousands set apart, a dash for nothing."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, float) or type(value).__name__.startswith("float"):
        return number(float(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or type(value).__name__.startswith(("int", "uint")):
        return f"{int(value):,}"
    return html.escape(str(value))
