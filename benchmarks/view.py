"""How long `cellular view` takes to open, and how the picture moves: of a run, a plate, or a page `report.html`.

    python -m benchmarks.view RUN_OR_PLATE_OR_PAGE [--times 3] [--layers puncta]

Seconds of the clock and of the server's processor, from the command to the page's first answer; then, in Chromium
without a graphics card, from the address to the first field that stands there, and pictures drawn a second while it is
dragged to and fro for four seconds, as it is and with the layers named. The machine's load is told beside all of them.
"""

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT

FIELD = "[...(globalThis.Bokeh?.documents[0]?._all_models.values() ?? [])].find((one) => one.name == 'field')"
# The first field stands there: its picture, in a figure that has its size.
STANDS = f"() => {{const field = {FIELD}; return field?.inner_width > 100 && field.renderers.some((one) => {{\
  const image = one.data_source?.data.image?.[0]; return image && image.length > 16}})}}"
DRAG = f"""async () => {{
  const model = {FIELD}, view = Bokeh.index.find_one(model), spent = [], paint = view.paint.bind(view)
  view.paint = (...told) => {{
    const begun = performance.now(), result = paint(...told)
    spent.push(performance.now() - begun)
    return result
  }}
  view.canvas_view.el.scrollIntoView({{block: 'center'}})
  const x = model.x_range, [start, end] = [x.start, x.end], begun = performance.now()
  let frames = 0
  for (; performance.now() - begun < 4000; frames++) {{
    const aside = 0.2 * Math.sin(frames / 20) * (end - start)
    x.setv({{start: start + aside, end: end + aside}})
    await new Promise(requestAnimationFrame)
  }}
  view.paint = paint
  x.setv({{start, end}})
  return [frames / 4, spent.length / 4, spent.sort((a, b) => a - b)[spent.length >> 1]]
}}"""


def main(argv: list[str] | None = None) -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--layers", nargs="*", default=())
    args = parser.parse_args(argv)
    if args.source.suffix == ".html":
        look(args.source.resolve().as_uri(), args.times, args.layers)
        return
    told = [answered(args.source) for _ in range(args.times)]
    seconds, processor, memory = map(statistics.median, zip(*told))
    print(f"first answer: {seconds:.2f} s, processor {processor:.2f} s, {memory:.0f} MB; {load()}")
    with viewing(args.source) as (address, _):
        look(address, args.times, args.layers)


@contextmanager
def viewing(source: Path) -> Iterator[tuple[str, int]]:
    """Address and process of `cellular view`."""
    command = [sys.executable, "-m", "cellular", "view", str(source.resolve()), "--no_browser"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise SystemExit(f"{source} was not opened")
        yield found[0], process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def answered(source: Path) -> tuple[float, float, float]:
    """Seconds of the clock and of the server's processor until its page answers, and the memory it held, MB."""
    begun = time.perf_counter()
    with viewing(source) as (address, process):
        urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open(address).read()
        seconds, about = time.perf_counter() - begun, Path(f"/proc/{process}")
        used = (about / "stat").read_text().rpartition(")")[2].split()[11:13]
        memory = re.search(r"VmHWM:\s+(\d+)", (about / "status").read_text())
        assert memory is not None
        return seconds, sum(map(int, used)) / os.sysconf("SC_CLK_TCK"), int(memory[1]) / 1000


def look(address: str, times: int, layers: list[str]) -> None:
    """Print when the first field stands in the browser, and how fast it is drawn anew."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        seconds = []
        for number in range(times):
            page: Any = browser.new_page(viewport={"width": 1400, "height": 1000})
            begun = time.perf_counter()
            page.goto(address)
            page.wait_for_function(STANDS, polling=20, timeout=120_000)
            seconds.append(time.perf_counter() - begun)
            if number < times - 1:
                page.close()
        print(f"first field: {statistics.median(seconds):.2f} s; {load()}")
        for layer in (None, *layers):
            if layer:
                page.get_by_role("button", name=layer, exact=True).click()
            page.wait_for_timeout(2000)
            frames, paints, spent = page.evaluate(DRAG)
            what = f"with {layer}" if layer else "as it is"
            drawn = f"{paints:.0f} pictures in {frames:.0f} frames a second, {spent:.1f} ms each"
            print(f"dragged {what}: {drawn}; {load()}")
        browser.close()


def load() -> str:
    """The load of the machine over a minute, in words."""
    return f"load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
