"""One self-contained HTML page: text, tables and pictures in a single file that can be mailed and still opens in years.

page = Page("Plate 7", subtitle="220518-ST")
page.section("Cells").text("Six fields.").table(counts).figure(draw(...), "What is seen here.")
page.write("report.html")
"""

import base64
import html
import io
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cellular.errors import InputError, MissingInputError
from cellular.files import whole_file

_STYLE = """
:root{--ink:#1c1e21;--soft:#5c636b;--line:#d9dde2;--paper:#fff;--tint:#f5f7f9;--accent:#0072B2}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,"Segoe UI",Roboto,sans-serif;color:var(--ink);background:var(--paper);margin:0}
main{max-width:62rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0}
h2{font-size:1.3rem;margin:2.6rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--line)}
.subtitle{color:var(--soft);margin:.3rem 0 1.2rem}
nav a{margin-right:1rem;color:var(--accent);text-decoration:none}
p{max-width:46rem}
.facts{display:flex;flex-wrap:wrap;gap:.8rem;margin:1.2rem 0}
.fact{background:var(--tint);border-radius:.5rem;padding:.7rem 1rem;min-width:8rem}
.fact b{display:block;font-size:1.45rem;line-height:1.2}
.fact span{color:var(--soft);font-size:.85rem}
.caveat{background:#fff6e5;border-left:4px solid #E69F00;color:#8a4b00;padding:.6rem 1rem;margin:1rem 0;max-width:46rem}
figure{margin:1.4rem 0}
figure img{max-width:min(100%,44rem);height:auto}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(24rem,1fr));gap:0 1.4rem}
figcaption{color:var(--soft);font-size:.9rem;max-width:46rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.88rem;margin:.8rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .55rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
th{background:var(--tint)}
details summary{cursor:pointer;color:var(--accent);margin:.6rem 0}
footer{margin-top:3rem;color:var(--soft);font-size:.85rem}
@media print{nav{display:none}h2{break-after:avoid}figure,table{break-inside:avoid}}
"""

_MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}


class Page:
    """A page built from top to bottom; every method but :meth:`write` and :meth:`render` returns the page itself.

    Text is escaped: file names and messages may hold anything.
    """

    def __init__(self, title: str, subtitle: str = "", footer: str = "") -> None:
        self.title, self.subtitle, self.footer = title, subtitle, footer
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

    def facts(self, facts: dict[str, object]) -> "Page":
        """A row of large numbers, each over its name."""
        boxes = (f'<div class="fact"><b>{_cell(v)}</b><span>{html.escape(k)}</span></div>' for k, v in facts.items())
        return self._add(f'<div class="facts">{"".join(boxes)}</div>')

    def table(self, table: pd.DataFrame, *, caption: str = "", rows: int = 40, folded: bool = False) -> "Page":
        """A table; of a longer one the first `rows` rows, and how many were left out."""
        head = "".join(f"<th>{html.escape(str(name))}</th>" for name in table.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>"
            for row in table.head(rows).itertuples(index=False, name=None)
        )
        left_out = f"<p>{len(table) - rows} more rows in the CSV file.</p>" if len(table) > rows else ""
        text = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{left_out}'
        if folded:
            return self._add(f"<details><summary>{html.escape(caption)}</summary>{text}</details>")
        return self._add((f"<p>{html.escape(caption)}</p>" if caption else "") + text)

    def figure(self, picture: Figure | str | Path, caption: str = "", *, dpi: int = 110) -> "Page":
        """A matplotlib figure (which is closed) or a picture file, embedded."""
        data, media = _encoded(picture, dpi)
        return self._add(
            f'<figure><img alt="{html.escape(caption, quote=True)}" src="data:{media};base64,{data}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    def figures(self, pictures: dict[str, Figure | str | Path]) -> "Page":
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
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head><body><main>"
            f'<h1>{html.escape(self.title)}</h1><p class="subtitle">{html.escape(self.subtitle)}</p>'
            f"<nav>{links}</nav>{''.join(self._body)}<footer>{html.escape(self.footer)}</footer></main></body></html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page, whole or not at all."""
        with whole_file(path) as temporary:
            temporary.write_text(self.render(), encoding="utf-8")
        return Path(path)


def _encoded(picture: Figure | str | Path, dpi: int) -> tuple[str, str]:
    """Base64 text and media type of a figure or picture file."""
    if isinstance(picture, Figure):
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
        plt.close(picture)
        return base64.b64encode(buffer.getvalue()).decode(), "image/png"
    path = Path(picture)
    if path.suffix.lower() not in _MEDIA:
        raise InputError(f"{path}: a page can embed {', '.join(_MEDIA)}")
    try:
        return base64.b64encode(path.read_bytes()).decode(), _MEDIA[path.suffix.lower()]
    except FileNotFoundError as error:
        raise MissingInputError(f"No such picture: {path}") from error


def _cell(value: object) -> str:
    """A table cell: three or four significant digits for fractions, thousands set apart, a dash for nothing."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, float) or type(value).__name__.startswith("float"):
        text = f"{float(value):,.0f}" if abs(value) >= 10000 else f"{float(value):.4g}"
        return html.escape(text)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or type(value).__name__.startswith(("int", "uint")):
        return f"{int(value):,}"
    return html.escape(str(value))
