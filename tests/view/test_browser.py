"""The page in a real browser, by mouse: what is clicked and drawn is what is on the disk."""

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from live import viewing, viewing_plates

from cellular.data.formats.images import read_labels, write_image
from cellular.errors import InputError
from cellular.files import read_csv
from cellular.jobs.view import open_run
from cellular.report.colours import EDGE, STATES

pytest.importorskip("panel", reason="the page needs the extra view")
from cellular.view.field_pane import THICK, THIN

playwright = pytest.importorskip("playwright.sync_api", reason="a browser is driven by Playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

# Where on the screen a place of the field is: asked of the figure itself.
FRAME = """() => {
  const find = (view, model) => view.model === model ? view
    : (view.child_views ?? []).map((child) => find(child, model)).find((found) => found)
  const model = [...Bokeh.documents[0]._all_models.values()].find((one) => one.name == 'field')
  const view = Bokeh.index.roots.map((root) => find(root, model)).find((found) => found)
  view.canvas_view.el.scrollIntoView({block: 'center'})
  const box = view.canvas_view.el.getBoundingClientRect(), frame = view.frame.bbox
  return {x: box.x + frame.left, y: box.y + frame.top, w: frame.width, h: frame.height,
          x0: model.x_range.start, x1: model.x_range.end, y0: model.y_range.end, y1: model.y_range.start}
}"""
DRAWING = """() => [...Bokeh.documents[0]._all_models.values()].find((one) => one.name == 'field')
  .toolbar.tools.some((tool) => tool.type == 'FreehandDrawTool' && tool.active)"""
CHOSEN = """() => {
  const of = (name) => [...Bokeh.documents[0]._all_models.values()].find((one) => one.name == name)
  const cells = of('field').renderers.map((r) => r.data_source).find((s) => s && s.data.edge)
  return cells.selected.indices.map((k) => cells.data.label[k])
}"""


# Colours and widths of outlines, by cell.
DRAWN = """() => {
  const figure = [...Bokeh.documents[0]._all_models.values()].find((one) => one.name == 'field')
  const cells = figure.renderers.map((r) => r.data_source).find((s) => s && s.data.edge)
  const of = (column) => [...column]
  return Object.fromEntries(of(cells.data.label).map((cell, k) => [cell, [cells.data.edge[k], cells.data.width[k]]]))
}"""


@pytest.fixture(scope="module")
def started_once():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def chromium(started_once):
    """The browser; its pages are closed after the test: left open, each goes on asking a server that is gone."""
    yield started_once
    for context in started_once.contexts:
        context.close()


class Visitor:
    """Somebody at the page of a run."""

    def __init__(self, chromium, run, address, width=1400):
        self.run, self.errors, self.outside = Path(run), [], []
        self.page = chromium.new_page(viewport={"width": width, "height": 1000})
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._asked)
        self.page.set_default_timeout(180_000)  # a machine at work on other things too
        self.page.goto(address)
        self.page.wait_for_selector(".bk-Figure canvas", state="attached")
        self.wait(lambda: self.page.evaluate(FRAME)["w"] > 100)

    def _asked(self, request):
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.outside.append(request.url)

    def wait(self, said, seconds=180):
        until = time.monotonic() + seconds
        while not (found := said()):
            assert time.monotonic() < until, "the page did not do it"
            self.page.wait_for_timeout(100)
        return found

    def chosen(self, cells):
        """Wait until these cells are: what was chosen before may still stand there."""
        self.wait(lambda: self.page.evaluate(CHOSEN) == cells)

    def again(self, act, said):
        """Act, once more every ten seconds, until it is so: what is done before the page listens is lost on it."""

        def done():
            act()
            for _ in range(100):
                if said():
                    return True
                self.page.wait_for_timeout(100)
            return False

        self.wait(done)

    def click_until(self, place, cells):
        """Click there until these cells are chosen: the outlines of a field just gone to may not be there yet."""

        def clicked():
            self.page.mouse.click(*self.at(*place))
            self.page.wait_for_timeout(1000)
            return self.page.evaluate(CHOSEN) == cells

        self.wait(clicked)

    def at(self, x, y):
        frame = self.page.evaluate(FRAME)
        return (
            frame["x"] + (x - frame["x0"]) / (frame["x1"] - frame["x0"]) * frame["w"],
            frame["y"] + (y - frame["y0"]) / (frame["y1"] - frame["y0"]) * frame["h"],
        )

    def press(self, text):
        self.page.get_by_role("button", name=text, exact=True).click()

    def mode(self, text):
        self.page.get_by_text(text, exact=True).click()
        self.wait(lambda: self.page.evaluate(DRAWING))

    def stroke(self, points):
        first, *rest = [self.at(*point) for point in points]
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for point in rest:
            self.page.mouse.move(*point, steps=6)
        self.page.mouse.up()

    def log(self):
        path = self.run / "corrections" / "corrections.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def after(self, strokes):
        """The log once it has as many strokes."""
        self.wait(lambda: len(self.log()) >= strokes)
        return self.log()


@pytest.fixture(scope="module")
def served(analysed, tmp_path_factory):
    """Copies of the run, one a test to be corrected, and the address of each one's page; one process serves all."""
    folder = tmp_path_factory.mktemp("served")
    runs = [Path(shutil.copytree(analysed, folder / name)) for name in ("mouse", "states", "looked", "dropped")]
    with viewing_plates(runs) as addresses:
        yield {run.name: (run, address) for run, address in zip(runs, addresses)}


def area_of(path, cell):
    """Pixels of a cell in a label image that somebody may be replacing right now; None while they are at it."""
    try:
        return int((read_labels(path) == cell).sum())
    except InputError:
        return None


def middle_of(labels, cell):
    """A place well within a cell, (x, y)."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(labels == cell)
    y, x = divmod(int(depth.argmax()), labels.shape[1])
    return x + 0.5, y + 0.5


def test_cells_are_corrected_by_mouse(chromium, served):
    run, address = served["mouse"]
    first = open_run(run).plate.fields[0]
    labels = read_labels(first.labels)
    cell = int(labels[labels.shape[0] // 2 - 60 :, :].max())
    visitor = Visitor(chromium, run, address)
    x, y = middle_of(labels, cell)
    visitor.page.mouse.click(*visitor.at(x, y))
    visitor.chosen([cell])
    visitor.press("Delete")
    assert visitor.after(1)[0]["cells"] == [cell]
    visitor.page.get_by_text("delete: saved").wait_for()  # the line that it adds moves the picture
    visitor.mode("Draw a cell")
    visitor.stroke([(x - 8, y - 8), (x + 8, y - 8), (x + 8, y + 8), (x - 8, y + 8), (x - 8, y - 8)])
    drawn = visitor.after(2)[1]
    assert drawn["operation"] == "draw"
    new = int(labels.max()) + 1
    corrected = run / "corrections" / f"{first.name}_masks.tif"  # written after the log
    area = visitor.wait(lambda: area_of(corrected, new))
    assert abs(area - 256) <= 40, "a square of 16 px, as well as a mouse can"
    visitor.chosen([new])  # what was drawn is chosen
    visitor.mode("Cut the chosen")
    visitor.stroke([(x - 14, y), (x + 14, y)])
    assert visitor.after(3)[2]["operation"] == "split"
    visitor.press("Undo")
    visitor.press("Undo")
    visitor.after(5)
    visitor.wait(lambda: area_of(corrected, new) == 0)
    visitor.press("Redo")
    visitor.after(6)
    visitor.page.get_by_text("Move and choose", exact=True).click()
    visitor.wait(lambda: not visitor.page.evaluate(DRAWING))
    visitor.click_until(middle_of(read_labels(corrected), 1), [1])  # the pen has left the mouse to what it had before
    assert read_labels(first.labels).tolist() == labels.tolist(), "the original is as it was"
    assert visitor.errors == []
    assert visitor.outside == [], "nothing is asked of the network"


def test_states_are_told_by_mouse_and_taken_back_by_keyboard(chromium, served):
    run, address = served["states"]
    first = open_run(run).plate.fields[0]
    visitor = Visitor(chromium, run, address)
    visitor.page.mouse.click(*visitor.at(*middle_of(read_labels(first.labels), 1)))
    visitor.chosen([1])
    visitor.press("Activated (unfed)")
    told = visitor.after(1)[0]
    assert (told["operation"], told["arguments"]) == ("state", {"cells": [1], "state": "activated"})
    visitor.wait(lambda: visitor.page.evaluate(DRAWN)["1"] == [STATES["activated"], THICK])
    assert visitor.page.evaluate(DRAWN)["2"] == [EDGE, THIN]
    visitor.page.locator(".tabulator-row").get_by_text("activated", exact=True).wait_for()
    visitor.chosen([1])
    table = read_csv(run / "corrections" / "states.csv")
    assert table[["field", "label", "state"]].to_numpy().tolist() == [[first.name, 1, "activated"]]
    visitor.page.get_by_role("button", name="As the model said", exact=True).focus()
    visitor.page.keyboard.press("Enter")
    visitor.after(2)
    visitor.wait(lambda: visitor.page.evaluate(DRAWN)["1"] == [EDGE, THIN])
    visitor.press("Undo")
    visitor.after(3)
    visitor.wait(lambda: visitor.page.evaluate(DRAWN)["1"] == [STATES["activated"], THICK])
    assert not (run / "corrections" / f"{first.name}_masks.tif").exists(), "no outline was corrected"
    assert open_run(run).corrected().fields == ()
    assert visitor.errors == []


def test_what_was_corrected_is_there_after_the_server_was_killed(chromium, analysed, tmp_path):
    """Of the command itself, as a user starts it."""
    run = Path(shutil.copytree(analysed, tmp_path / "run"))
    first = open_run(run).plate.fields[0]
    labels = read_labels(first.labels)
    with viewing(run) as (address, process):
        visitor = Visitor(chromium, run, address)
        visitor.page.mouse.click(*visitor.at(*middle_of(labels, 1)))
        visitor.chosen([1])
        visitor.press("Delete")
        visitor.after(1)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with viewing(run) as (address, _):
        visitor = Visitor(chromium, run, address)
        visitor.wait(lambda: visitor.page.get_by_role("button", name="Undo", exact=True).is_enabled())
        visitor.press("Undo")
        assert [entry["operation"] for entry in visitor.after(2)] == ["delete", "undo"]


def right_end(part):
    box = part.bounding_box()
    return box["x"] + box["width"]


@pytest.mark.parametrize("width", [800, pytest.param(1400, marks=pytest.mark.long)])
def test_a_row_a_dot_and_a_cell_are_one(chromium, served, width):
    run, address = served["looked"]
    visitor = Visitor(chromium, run, address, width)
    rows = visitor.page.locator(".tabulator-row")
    last = open_run(run).plate.fields[-1].name
    visitor.again(
        rows.filter(has_text=last).first.click,
        lambda: visitor.page.get_by_text(last, exact=True).count() >= 1 and f"field={last}" in visitor.page.url,
    )
    visitor.click_until(middle_of(read_labels(open_run(run).field(last).labels), 2), [2])
    visitor.wait(lambda: visitor.page.locator(".tabulator-selected").count() >= 2)
    wide = visitor.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width + 1, f"the page is {wide} px wide in a window of {width}"
    visitor.page.set_viewport_size({"width": width + 500, "height": 1000})  # plate and field beside each other
    visitor.wait(lambda: right_end(visitor.page.get_by_text("Part by two points")) <= width + 500)
    visitor.page.reload()
    visitor.page.wait_for_selector(".bk-Figure canvas", state="attached")
    visitor.chosen([2])  # a reload shows the same
    assert visitor.errors == []


def test_dropped_images_are_checked_queued_and_survive_a_reload(chromium, served, tmp_path):
    run, address = served["dropped"]
    image = tmp_path / "A01_s1_w1.png"
    write_image(image, np.zeros((32, 32), np.uint8))
    wrong = tmp_path / "A02_s1_w1.png"
    wrong.write_bytes(b"MZ no image")
    visitor = Visitor(chromium, run, address)
    visitor.page.get_by_text("New images", exact=True).click()
    visitor.page.locator("input[type=file]").set_input_files([image, wrong])
    kept = run / "uploads" / "000001" / "images"
    visitor.wait(lambda: kept.is_dir() and [path.name for path in kept.iterdir()] == [image.name])
    visitor.page.get_by_text("A02_s1_w1.png cannot be read as an image").wait_for()
    visitor.page.get_by_text("1 images in lot 1").wait_for()
    visitor.press("Segment and measure")
    job = run / "jobs" / "000001" / "job.json"
    visitor.wait(job.is_file)
    assert json.loads(job.read_text())["words"][:2] == ["analyse", str(kept)]
    visitor.page.reload()
    visitor.page.get_by_text("Jobs", exact=True).click()
    visitor.page.get_by_text("Lot 1: ").first.wait_for()
    assert visitor.errors == []
