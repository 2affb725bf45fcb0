"""A bare plate in each layout that microscopes write: it opens, and its channels are there by role."""

import shutil

import pytest
from live import viewing_plates
from microscopes import CHANNELS, LAYOUTS, write_plate

pytest.importorskip("panel", reason="the page needs the extra view")
playwright = pytest.importorskip("playwright.sync_api", reason="a browser is driven by Playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

# The picture's pixels as the page holds them: sums of red, green and blue.
LIGHT = """() => {
  const models = globalThis.Bokeh?.documents[0]?._all_models ?? new Map()
  const field = [...models.values()].find((one) => one.name == 'field')
  const image = field?.renderers.map((one) => one.data_source.data.image).find((one) => one)?.[0]
  if (!image) return null
  const bytes = new Uint8Array(image.buffer, image.byteOffset, image.byteLength), sums = [0, 0, 0]
  for (let k = 0; k < bytes.length; k++) if (k % 4 < 3) sums[k % 4] += bytes[k]
  return sums
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory, request):
    long = any(item.get_closest_marker("long") for item in request.session.items)
    names = LAYOUTS if long else USUAL
    folders = {name: write_plate(tmp_path_factory.mktemp("plates") / name, name) for name in names}
    with playwright.sync_playwright() as started, viewing_plates(folders.values(), CHANNELS) as addresses:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser, dict(zip(folders, addresses))
        browser.close()


# Two here: what a layout's names mean is shown without a browser, in tests/data.
USUAL = ("imagexpress", "ometiff")
ALL = [pytest.param(layout, marks=[] if layout in USUAL else [pytest.mark.long]) for layout in LAYOUTS]


@pytest.mark.parametrize("layout", ALL)
def test_a_plate_of_each_layout_opens_with_its_channels_by_role(pages, layout):
    browser, addresses = pages
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(60_000)
    page.goto(addresses[layout])
    for role in ("mRFP", "EGFP", "DNA"):
        page.get_by_role("checkbox", name=role, exact=True).wait_for()
        assert page.get_by_role("checkbox", name=role, exact=True).is_checked()
    page.get_by_text("6 fields", exact=False).first.wait_for()
    page.wait_for_function(LIGHT)
    red, green, blue = page.evaluate(LIGHT)
    assert min(red, green, blue) > 0
    page.get_by_role("checkbox", name="mRFP", exact=True).uncheck()
    page.wait_for_function(f"({LIGHT})()[0] < {red}")
    assert page.evaluate(LIGHT)[1] > 0, "EGFP alone is green"
    assert errors == []
    page.close()


@pytest.mark.long
def test_axe_finds_no_serious_fault(pages):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (extra test)")
    browser, addresses = pages
    page = browser.new_page(viewport={"width": 1400, "height": 1300})
    page.set_default_timeout(60_000)
    page.goto(addresses["ometiff"])
    page.wait_for_function(LIGHT)
    looked = 0

    def look(tab):
        nonlocal looked
        page.wait_for_timeout(300)
        found = axe.Axe().run(page).response
        looked += len(found["passes"])
        grave = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert {one["id"]: [str(node["target"]) for node in one["nodes"]] for one in grave} == {}, tab

    for tab in ("Look and correct", "Teach", "New images", "Jobs", "Look and correct"):
        page.get_by_text(tab, exact=True).first.click()
        look(tab)
    cell = page.get_by_role("grid", name="fields").get_by_role("row").last.get_by_role("gridcell").first
    cell.click()
    page.wait_for_function("(name) => location.search.includes(name)", arg=cell.inner_text())
    page.get_by_role("slider", name="contrast of mRFP, to").wait_for()
    page.get_by_role("grid", name="cells").wait_for()
    look("another field")
    assert looked > 20, "axe has looked"
    page.close()
