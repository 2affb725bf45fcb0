"""What stands between the command and its page: libraries that no first view needs are not waited for."""

import subprocess
import sys

import numpy as np
import pytest

from cellular.data.formats.images import write_image

pytest.importorskip("panel", reason="the page needs the extra view")

from bokeh.core.validation.check import check_integrity

from cellular.jobs.queue import Queue
from cellular.jobs.view import open_run
from cellular.view.page import Desk, Page

ASKED = """
import sys, threading, urllib.request, http.cookiejar
from cellular.jobs.view import open_run
from cellular.view.server import serve
with serve(open_run(sys.argv[1])) as served:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    def ask():
        print(browser.open(served.address).status)
        served.server.io_loop.add_callback(served.server.io_loop.stop)
    threading.Thread(target=ask).start()
    served.run()
slow = {"torch", "numba", "matplotlib", "sklearn", "skimage.measure", "skimage.segmentation", "requests"}
print(sorted(slow & {*sys.modules}))
import matplotlib
"""


def test_the_first_page_waits_for_no_library_that_it_does_not_need(tmp_path):
    """Modules and not seconds, which other work on the machine changes; and matplotlib can still be had afterwards."""
    write_image(tmp_path / "plate" / "A01_s1_w1.tif", np.zeros((32, 32), np.uint16))
    command = [sys.executable, "-c", ASKED, str(tmp_path / "plate")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["200", "[]"]


def test_bokeh_has_nothing_to_say_against_the_page(analysed, tmp_path):
    """It is not asked each time a page is opened."""
    root = Page(Desk(open_run(analysed), Queue(tmp_path / "jobs"))).view().get_root()
    issues = check_integrity(root.references())
    assert issues.error == []
    assert {issue.name for issue in issues.warning} == {"EMPTY_LAYOUT"}, "lists that are empty as yet"


def test_a_picture_that_is_there_is_not_sent_again(analysed, tmp_path):
    field = Page(Desk(open_run(analysed), Queue(tmp_path / "jobs"))).field
    field.open(field.desk.run.plate.fields[0])
    before, bar = field.image.data, field.bar.data["text"]
    field.zoom(2.0)
    assert field.image.data is before, "the whole field, as before"
    assert field.bar.data["text"] != bar
    field.zoom(0.1)
    assert field.image.data is not before
