"""The film strip of the README: a plate in, its page out, a cell corrected, as somebody at the live page sees it.

    python recipes/film_strip.py docs/images/film_strip.jpg [--work FOLDER]

A plate is simulated and analysed by its true label images; a browser (Chromium, by Playwright) then goes through the
live page. Needs the extras `view` and `test`.
"""

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import sync_playwright
from scipy import ndimage

import cellular
from cellular.data.formats.images import read_labels
from cellular.jobs.view import open_run
from cellular.simulate import SimulationSettings

WINDOW, FRAME = (1400, 1000), (560, 400)
# Where on the screen the field's picture is, and what of the field it shows.
PLACE = """() => {
  const find = (view, model) => view.model === model ? view
    : (view.child_views ?? []).map((child) => find(child, model)).find((found) => found)
  const model = [...Bokeh.documents[0]._all_models.values()].find((one) => one.name == 'field')
  const view = Bokeh.index.roots.map((root) => find(root, model)).find((found) => found)
  view.canvas_view.el.scrollIntoView({block: 'center'})
  const box = view.canvas_view.el.getBoundingClientRect(), frame = view.frame.bbox
  return [box.x + frame.left, box.y + frame.top, frame.width, frame.height,
          model.x_range.start, model.x_range.end, model.y_range.end, model.y_range.start]
}"""
DRAWING = """() => [...Bokeh.documents[0]._all_models.values()].find((one) => one.name == 'field')
  .toolbar.tools.some((tool) => tool.type == 'FreehandDrawTool' && tool.active)"""


def run_of(folder: Path) -> Path:
    """A run on six simulated fields."""
    made = cellular.simulate(
        folder / "plate", SimulationSettings(fields=6, size_px=320, diameter_px=56, cells_per_field=14)
    )
    cellular.analyse(made.images, folder / "run", labels=made.truth)
    return folder / "run"


def on_screen(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a place of the field is on the screen."""
    left, top, wide, high, x0, x1, y0, y1 = page.evaluate(PLACE)
    return left + (x - x0) / (x1 - x0) * wide, top + (y - y0) / (y1 - y0) * high


def frames(page: Any, run: Path) -> Iterator[tuple[str, bytes]]:
    """Caption and picture of each step."""
    yield "1  A plate, any column as its map", page.screenshot()
    field = open_run(run).plate.fields[-1]
    page.locator(".tabulator-row").filter(has_text=field.name).first.click()
    page.wait_for_timeout(4000)
    yield "2  A well, its field and its cells", page.screenshot()
    labels = read_labels(field.labels)
    cell = int(labels[labels.shape[0] // 2, :].max())
    depth = ndimage.distance_transform_edt(labels == cell)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    page.mouse.click(*on_screen(page, x + 0.5, y + 0.5))
    page.wait_for_timeout(3000)
    yield "3  A cell is one in picture, plot and table", page.screenshot()
    page.get_by_text("Cut the chosen", exact=True).click()
    page.wait_for_function(DRAWING)
    row = np.flatnonzero(labels[y] == cell)
    start, stop = (on_screen(page, place, y + 0.5) for place in (row[0] - 6, row[-1] + 7))
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*stop, steps=12)
    page.mouse.up()
    page.wait_for_timeout(4000)
    if '"split"' not in (run / "corrections" / "corrections.jsonl").read_text():
        raise RuntimeError("the cell was not cut: this strip would show what did not happen")
    yield "4  A stroke cuts it: on the disk at once", page.screenshot()
    right = page.get_by_role("button", name="Field is right", exact=True)
    right.click()
    for other in open_run(run).plate.fields[:-1]:
        page.locator(".tabulator-row").filter(has_text=other.name).first.click()
        page.wait_for_timeout(4000)
        right.click()
        page.wait_for_timeout(1000)
    page.get_by_text("Teach", exact=True).first.click()
    page.get_by_label("Passes over the fields").fill("8")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Teach the model", exact=True).click()
    page.get_by_role("button", name="Keep", exact=True).wait_for(timeout=600_000)
    # Little stands here: nearer, so that it can be read.
    page.set_viewport_size({"width": WINDOW[0] // 2, "height": WINDOW[1] // 2})
    page.wait_for_timeout(2000)
    yield "5  Corrected fields teach the model", page.screenshot()
    page.set_viewport_size({"width": WINDOW[0], "height": WINDOW[1]})
    page.goto((run / "report.html").resolve().as_uri())
    page.wait_for_timeout(5000)
    yield "6  The report, one file", page.screenshot()


def strip(shots: Iterator[tuple[str, bytes]]) -> Image.Image:
    """Three frames a row, each with its caption."""
    shots = list(shots)
    wide, high, words = *FRAME, 30
    sheet = Image.new("RGB", (3 * wide + 20, -(-len(shots) // 3) * (high + words)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    for k, (caption, data) in enumerate(shots):
        x, y = (k % 3) * (wide + 10), k // 3 * (high + words)
        draw.text((x + 4, y + 5), caption, "black", font)
        sheet.paste(Image.open(io.BytesIO(data)).convert("RGB").resize(FRAME, Image.Resampling.LANCZOS), (x, y + words))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--work", type=Path, help="folder for plate and run; left out, a temporary one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as started:
        run = run_of(args.work or Path(temporary))
        command = [sys.executable, "-m", "cellular.cli.main", "view", str(run), "--no_browser"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            address = re.search(r"http://\S+", server.stdout.readline())[0]
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport=dict(zip(("width", "height"), WINDOW)))
            page.set_default_timeout(120_000)
            page.goto(address)
            page.wait_for_selector(".bk-Figure canvas", state="attached")
            page.wait_for_timeout(6000)
            strip(frames(page, run)).save(args.out, quality=72, optimize=True)
            browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
