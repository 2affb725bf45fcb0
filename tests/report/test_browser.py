"""The page in a real browser: every layer, the slider, and the selection in picture, plot, plate and table."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellular.data.image import FieldImage
from cellular.report.explorer import Explored, explorer, unit_means, well_table
from cellular.report.html import Page
from cellular.report.outlines import outlines_of
from cellular.report.viewer import frame_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra test)")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"),
]
SIDE = 96
MODEL = "window.Bokeh.documents[0].get_model_by_name"


def fields():
    """Three fields of two square cells each: two timepoints of position s1, one of s2."""
    labels = np.zeros((SIDE, SIDE), np.uint16)
    labels[10:30, 10:30], labels[60:80, 50:80] = 1, 2
    pixels = np.zeros((SIDE, SIDE, 2), np.uint16)
    pixels[..., 0], pixels[..., 1] = np.where(labels == 1, 1000, 10), np.where(labels == 2, 500, 10)
    told = (("a1", "s1", 1, 0.5), ("a2", "s1", 2, 0.5), ("b1", "s2", 1, 0.1))
    images = {um: FieldImage.of(pixels, ("mRFP", "EGFP"), pixel_size_um=um) for *_, um in told}
    frames = [frame_of(images[um], name, 3, position, time) for name, position, time, um in told]
    return frames, labels


def told():
    frames, labels = fields()
    rings = {(frame.field, label): ring for frame in frames for label, ring in outlines_of(labels).items()}
    cells = pd.DataFrame(
        {
            "field": ["a1", "a1", "a2", "a2", "b1", "b1", "far", "far"],
            "label": [1, 2] * 4,
            "x": [19.5, 64.5] * 4,
            "y": [19.5, 69.5] * 4,
            "plate": "P",
            "well": ["A01"] * 4 + ["B01"] * 2 + ["C01"] * 2,
            "treatment": ["fed"] * 4 + ["starved"] * 4,
            "replicate": "1",
            "flagged": [False] * 6 + [True] * 2,
            "area": [400.0, 600.0] * 4,
            "log2_ratio": np.arange(8.0),
            "first": np.arange(8.0),
            "second": np.arange(8.0) ** 2,
        }
    )
    features = ["area", "log2_ratio"]
    puncta = pd.DataFrame(
        {
            "frame": [0, 0, 2],
            "label": [1, 2, 1],
            "x": [15, 20, 15],
            "y": [15, 20, 15],
            "kind": ["yellow", "red_only", "yellow"],
        }
    )
    steps = pd.DataFrame({"frame": [1], "label": [1], "x0": [19.0], "y0": [19.0], "x1": [25.0], "y1": [25.0]})
    means, wells = unit_means(cells, features, "replicate"), well_table(cells, features)
    return Explored(frames, rings, cells, features, means, wells, puncta, steps, unit="replicate")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def open_page(browser, path):
    """The page opened from disk, and what the console said."""
    tab, said = browser.new_page(viewport={"width": 1400, "height": 1000}), []
    tab.on("console", lambda m: said.append(f"{m.text} {m.location}") if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    tab.goto(path.as_uri())
    shown(tab, 0)
    return tab, said


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    page = Page("Plate </script><b>", folder=path.parent).section("Cells")
    page.interactive(explorer(told()), {"a1": np.zeros((40, 40, 3), np.uint8)})
    page.table(pd.DataFrame({f"a measurement of {k}": ["some words of it", 0.031567][k % 2 :][:1] for k in range(14)}))
    page.write(path)
    return open_page(browser, path)


def shown(tab, frame):
    tab.wait_for_function(f"{MODEL}('field')?.tags.join() === 'shown,{frame}'", timeout=60_000, polling=100)


def until(tab, seen, seconds=60):
    """Whether it is seen before long."""
    for _ in range(seconds * 50):
        if seen():
            return True
        tab.wait_for_timeout(20)
    return False


def selected(tab):
    return tab.evaluate(f"[...{MODEL}('table').source.selected.indices]")


def select(tab, rows):
    tab.evaluate(f"{MODEL}('table').source.selected.indices = {rows}")


def pixel(tab, x, y):
    """What colour the picture has at a pixel, (R, G, B)."""
    code = (
        f"(() => {{const s = {MODEL}('field').renderers[0].data_source.data.image[0]; return s[{y} * {SIDE} + {x}]}})()"
    )
    value = tab.evaluate(code)
    return value & 255, value >> 8 & 255, value >> 16 & 255


def on_screen(tab, x, y):
    """Where a pixel of the picture is on the screen."""
    box = tab.evaluate(
        f"""(() => {{const view = Bokeh.index.get_one({MODEL}('field')), b = view.el.getBoundingClientRect(),
        f = view.frame; return [b.left + f.x_scale.compute({x}), b.top + f.y_scale.compute({y})]}})()"""
    )
    return box


def click_checkbox(tab, group, number):
    tab.locator("input[type=checkbox] >> visible=true").nth(number + (0 if group == "channels" else 2)).click()


def test_the_page_opens_without_a_network_or_an_error(opened):
    _, said = opened
    assert said == []


def test_channels_are_mixed_and_switched_off(opened):
    tab, _ = opened
    assert pixel(tab, 15, 15) == pytest.approx((255, 0, 255), abs=8)
    assert pixel(tab, 60, 70) == pytest.approx((0, 255, 0), abs=8)
    click_checkbox(tab, "channels", 0)
    tab.wait_for_function(f"{MODEL}('channels').active.join() === '1'")
    assert until(tab, lambda: pixel(tab, 15, 15) == pytest.approx((0, 0, 0), abs=8))
    click_checkbox(tab, "channels", 0)
    assert until(tab, lambda: pixel(tab, 15, 15) == pytest.approx((255, 0, 255), abs=8))


def test_contrast_sets_black_and_white(opened):
    tab, _ = opened
    tab.evaluate(f"{MODEL}('level0').value = [10, 2000]")
    assert until(tab, lambda: pixel(tab, 15, 15)[0] == pytest.approx(255 * 990 / 1990, abs=3))
    tab.evaluate(f"{MODEL}('level0').value = [10, 1000]")
    assert until(tab, lambda: pixel(tab, 15, 15)[0] == pytest.approx(255, abs=8))


def test_the_scale_bar_goes_by_the_pixels_of_the_field_that_is_shown(opened):
    """It went by those of the plate's first field, and by none where only the images' own metadata tell them."""
    tab, _ = opened
    length = f"(() => {{const {{range, unit}} = {MODEL}('scale'); return [range.end - range.start, unit]}})()"
    wide = f"{MODEL}('field').x_range.end - {MODEL}('field').x_range.start"
    assert tab.evaluate(length) == [pytest.approx(0.5 * tab.evaluate(wide)), "µm"]
    tab.evaluate(f"{MODEL}('where').value = 's2'")
    shown(tab, 2)
    assert tab.evaluate(length) == [pytest.approx(0.1 * tab.evaluate(wide)), "µm"]
    tab.evaluate(f"{MODEL}('where').value = 's1'")
    shown(tab, 0)


def test_every_layer_is_toggled(opened):
    tab, _ = opened
    names = tab.evaluate(f"{MODEL}('layers').labels")
    assert names == ["outlines", "puncta: red only (triangle)", "puncta: yellow (circle)", "tracks"]
    visible = f"{MODEL}('field').renderers.slice(1, {1 + len(names)}).map((one) => one.visible)"
    for number in range(len(names)):
        click_checkbox(tab, "layers", number)
        assert tab.evaluate(visible) == [k != number for k in range(len(names))]
        click_checkbox(tab, "layers", number)
    assert all(tab.evaluate(visible))


def test_a_cell_that_is_clicked_in_the_picture_is_selected_everywhere(opened):
    tab, _ = opened
    tab.mouse.click(*on_screen(tab, 65, 70))
    assert until(tab, lambda: selected(tab) == [1])
    assert "a1, cell 2" in tab.evaluate(f"{MODEL}('selected').text")
    same = f"{MODEL}('superplot').renderers[0].data_source.id === {MODEL}('table').source.id"
    assert tab.evaluate(same)
    assert tab.evaluate(
        "[...Bokeh.documents[0]._all_models.values()].filter(m => m.data && m.data.row)[0].selected.indices"
    ) == [0]


def test_a_loop_chooses_the_cells_whose_middles_it_goes_around(opened):
    """One at the image's border was in no loop that did not lie upon it, and one in pieces in none at all."""
    tab, _ = opened
    draw_loop(tab)
    assert until(tab, lambda: selected(tab) == [0]), "its outline begins at 10.5"
    select(tab, [])
    click_checkbox(tab, "layers", 0)
    draw_loop(tab)
    click_checkbox(tab, "layers", 0)
    assert selected(tab) == [], "outlines that are not shown are not chosen"


def draw_loop(tab):
    """Around the middle of the first cell."""
    tools = f"{MODEL}('field').toolbar.tools"
    turn = f"(on) => {tools}.forEach((one) => {{if (/Pan|Lasso/.test(one.type)) one.active = one.type.startsWith(on)}})"
    tab.evaluate(turn, "Lasso")
    first, *rest = [on_screen(tab, x, y) for x, y in ((14, 4), (40, 4), (40, 40), (14, 40), (14, 5))]
    tab.mouse.move(*first)
    tab.mouse.down()
    for place in rest:
        tab.mouse.move(*place, steps=6)
    tab.mouse.up()
    tab.evaluate(turn, "Pan")


def test_a_row_or_a_dot_opens_its_field_and_a_far_one_says_so(opened):
    tab, _ = opened
    select(tab, [5])
    shown(tab, 2)
    assert tab.evaluate(f"{MODEL}('where').value") == "s2"
    select(tab, [6])
    assert until(tab, lambda: "not on this page" in tab.evaluate(f"{MODEL}('selected').text"))
    select(tab, [0])
    shown(tab, 0)


def test_a_well_stands_for_its_cells(opened):
    tab, _ = opened
    wells = "[...Bokeh.documents[0]._all_models.values()].filter(m => m.data && m.data.row)[0]"
    tab.evaluate(f"{wells}.selected.indices = [1]")
    assert until(tab, lambda: selected(tab) == [4, 5])
    paler = f"{MODEL}('plate').renderers[0].nonselection_glyph.fill_alpha.value"
    assert tab.evaluate(paler) == 1, "colours of the other wells are those of the scale, too"
    select(tab, [])
    assert until(tab, lambda: tab.evaluate(f"{wells}.selected.indices") == [])


def test_the_slider_moves_through_time(opened):
    tab, _ = opened
    tab.evaluate(f"{MODEL}('where').value = 's1'")
    tab.evaluate(f"{MODEL}('when').value = 2")
    shown(tab, 1)
    tab.evaluate(f"{MODEL}('when').value = 1")
    shown(tab, 0)


def test_where_a_timepoint_is_missing_the_slider_says_what_is_shown(opened):
    """Of s2 there is timepoint 1 alone: the picture of s1 stayed, under the name of s2."""
    tab, _ = opened
    tab.evaluate(f"{MODEL}('when').value = 2")
    shown(tab, 1)
    tab.evaluate(f"{MODEL}('where').value = 's2'")
    shown(tab, 2)
    assert tab.evaluate(f"{MODEL}('when').value") == 1
    tab.evaluate(f"{MODEL}('when').value = 2")
    assert until(tab, lambda: tab.evaluate(f"{MODEL}('when').value") == 1)
    select(tab, [2])
    shown(tab, 1)
    assert tab.evaluate(f"[{MODEL}('where').value, {MODEL}('when').value]") == ["s1", 2]
    select(tab, [])
    tab.evaluate(f"{MODEL}('when').value = 1")
    shown(tab, 0)


def test_filters_narrow_all_figures(opened):
    tab, _ = opened
    text = f"{MODEL}('passing').text"
    tab.evaluate(f"{MODEL}('by_quality').value = 'usual'")
    assert until(tab, lambda: tab.evaluate(text).startswith("6 of 8"))
    assert tab.evaluate(text).endswith("Means of units and wells stay those of all.")
    tab.evaluate(f"{MODEL}('by_treatment').value = ['fed']")
    assert until(tab, lambda: tab.evaluate(text).startswith("4 of 8"))
    tab.evaluate(f"{MODEL}('by_range').value = [500, 600]")
    assert until(tab, lambda: tab.evaluate(text).startswith("2 of 8"))
    for name, value in (("range", [400, 600]), ("treatment", []), ("quality", "'all'")):
        tab.evaluate(f"{MODEL}('by_{name}').value = {value}")
    assert until(tab, lambda: tab.evaluate(text) == "8 of 8 cells pass the filters.")


def test_what_belongs_to_a_cell_is_hidden_with_it_and_a_saved_figure_tells_the_filter(opened):
    """Puncta of cells that filters hide stayed in the picture; nothing in a figure that was saved told of filters."""
    tab, _ = opened
    puncta = f"{MODEL}('field').renderers.filter((one) => one.glyph.type === 'Scatter' && one.data_source.data.cell)"
    shown_of = f"{puncta}.map((one) => [...one.view.indices].length)"
    steps = (
        f"{MODEL}('field').renderers.filter((one) => one.glyph.type === 'Segment')[0].view.filter.operands[1].booleans"
    )
    notes = (
        f"[['field', 'center'], ['superplot', 'below'], ['map', 'below']].map(([name, where]) => {MODEL}(name)[where]"
        ".find((one) => one.text?.type === 'PlainText' && one.visible)?.text.text)"
    )
    assert until(tab, lambda: tab.evaluate(shown_of) == [1, 1])
    assert tab.evaluate(notes) == [None] * 3
    tab.evaluate(f"{MODEL}('by_range').value = [500, 600]")
    assert until(tab, lambda: tab.evaluate(shown_of) == [1, 0]), "that of cell 2, of 600 px², stays"
    assert tab.evaluate(steps) == [False], "of cell 1"
    assert tab.evaluate(notes) == ["Cells filtered: only area (px²) from 500 to 600"] * 3
    tab.evaluate(f"{MODEL}('by_treatment').value = ['fed']")
    text = "Cells filtered: only treatment fed; area (px²) from 500 to 600"
    assert until(tab, lambda: tab.evaluate(notes) == [text] * 3)
    tab.evaluate(f"{MODEL}('by_treatment').value = []")
    tab.evaluate(f"{MODEL}('by_range').value = [400, 600]")
    assert until(tab, lambda: tab.evaluate(shown_of) == [1, 1])
    assert tab.evaluate(notes) == [None] * 3


def test_cells_that_filters_hide_are_not_said_to_be_selected(opened):
    tab, _ = opened
    said = f"{MODEL}('selected').text"
    select(tab, [0, 2, 4])
    assert until(tab, lambda: tab.evaluate(said) == "Selected: 3 cells.")
    tab.evaluate(f"{MODEL}('by_treatment').value = ['fed']")
    assert until(tab, lambda: tab.evaluate(said) == "Selected: 2 cells.")
    select(tab, [4, 6])
    assert until(tab, lambda: tab.evaluate(said) == "Selected: 0 cells, and 2 that the filters hide.")
    select(tab, [0, 6])
    assert until(tab, lambda: tab.evaluate(said) == "Selected: a1, cell 1, and 1 that the filters hide.")
    tab.evaluate(f"{MODEL}('by_treatment').value = []")
    assert until(tab, lambda: "hide" not in tab.evaluate(said))
    select(tab, [])


def test_dollars_in_names_begin_no_formula(browser, tmp_path):
    """A treatment `$$x^2$$` stood on the axis as a formula of TeX, or not at all."""
    one = told()
    costly = {"fed": "$$x^2$$", "starved": "price $5"}
    odd = [table.assign(treatment=table["treatment"].map(costly)) for table in (one.cells, one.means, one.wells)]
    odd = replace(one, cells=odd[0].assign(plate="$$P$$"), means=odd[1], wells=odd[2].assign(plate="$$P$$"))
    Page("odd").section("Cells").interactive(explorer(odd), {}).write(tmp_path / "odd.html")
    tab, said = open_page(browser, tmp_path / "odd.html")
    kinds = tab.evaluate(
        f"""[...{MODEL}('superplot').below[0].major_label_overrides.values(), {MODEL}('plate').title.text]
        .map((text) => [text.type, text.text])"""
    )
    assert kinds == [["PlainText", "$$x^2$$"], ["PlainText", "price $5"], ["PlainText", "$$P$$"]]
    assert [text for text in said if "initial ranges" not in text] == []


def test_another_measurement_has_its_axis_its_means_and_what_a_well_tells(opened):
    """The axis had the name of the first, whatever was chosen, and so had what a well told; the script had failed."""
    tab, said = opened
    plots = f"{MODEL}('superplot').renderers.flatMap((one) => [one.glyph.y.field, one.nonselection_glyph.y.field])"
    tab.evaluate(f"{MODEL}('feature').value = 'log2_ratio'")
    assert until(tab, lambda: tab.evaluate(f"{MODEL}('superplot').left[0].axis_label.text") == "log2 ratio")
    assert tab.evaluate(plots) == ["log2_ratio"] * 4
    hover = f"{MODEL}('plate').toolbar.tools.find((tool) => tool.type === 'HoverTool').tooltips"
    assert tab.evaluate(hover)[-1] == ["log2 ratio", "@{log2_ratio}{custom}"]
    plate = f"{MODEL}('plate').above.find((one) => one.axis_label).axis_label.text"
    assert tab.evaluate(plate) == "log2 ratio"
    tab.evaluate(f"{MODEL}('feature').value = 'area'")
    assert until(tab, lambda: tab.evaluate(f"{MODEL}('superplot').left[0].axis_label.text") == "area (px²)")
    assert said == []


def test_a_measurement_that_no_cell_of_the_page_has_is_no_other(browser, tmp_path):
    """The script failed: wells kept the colours of the measurement before, and all cells were filtered out."""
    one, lost = told(), {"nothing": np.nan}
    odd = replace(one, cells=one.cells.assign(**lost), features=[*one.features, "nothing"])
    odd = replace(odd, means=one.means.assign(**lost), wells=one.wells.assign(**lost))
    Page("odd").section("Cells").interactive(explorer(odd), {}).write(tmp_path / "odd.html")
    tab, said = open_page(browser, tmp_path / "odd.html")
    tab.evaluate(f"{MODEL}('feature').value = 'nothing'")
    assert tab.evaluate(f"{MODEL}('plate').renderers[0].glyph.fill_color.field") == "nothing"
    tab.evaluate(f"{MODEL}('by_value').value = 'nothing'")
    assert until(tab, lambda: tab.evaluate(f"{MODEL}('by_range').value") == [0, 1])
    assert tab.evaluate(f"{MODEL}('passing').text").startswith("8 of 8")
    assert [text for text in said if "initial ranges" not in text] == []


def test_buttons_move_the_picture_and_step_through_cells_by_keyboard(opened):
    tab, _ = opened
    button = tab.get_by_role("button", name="next cell")
    button.focus()
    tab.keyboard.press("Enter")
    assert until(tab, lambda: selected(tab) == [0])
    tab.keyboard.press("Enter")
    assert until(tab, lambda: selected(tab) == [1])
    wide = f"{MODEL}('field').x_range.end - {MODEL}('field').x_range.start"
    before = tab.evaluate(wide)
    tab.get_by_role("button", name="zoom in").focus()
    tab.keyboard.press("Enter")
    assert until(tab, lambda: tab.evaluate(wide) == pytest.approx(before / 2))


def test_the_tab_key_reaches_every_control_and_leaves_again(opened):
    tab, _ = opened
    tab.evaluate("(() => {document.activeElement?.blur(); window.getSelection().removeAllRanges()})()")
    tab.locator("nav a").first.focus()
    deepest = "let a = document.activeElement; while (a?.shadowRoot?.activeElement) a = a.shadowRoot.activeElement"
    told = "[a.tagName, a.getAttribute('role') ?? a.type ?? '', a.textContent.slice(0, 12).trim()].join(' ')"
    reached = []
    # past the last control and back to the first, not caught in the table
    for _ in range(100):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate(f"(() => {{{deepest}; return a ? {told} : ''}})()"))
        if reached[-1].startswith(("A  Cells", "BODY")):
            break
    assert reached[-1].startswith(("A  Cells", "BODY")), " | ".join(
        reached
    )  # past the last control, not caught in the table
    kinds = [word.split(" ")[0] + " " + word.split(" ")[1] for word in reached]
    assert kinds.count("INPUT checkbox") == 2 + 4
    assert kinds.count("DIV slider") == 1 + 2 * 2 + 2
    assert kinds.count("SELECT select-one") == 4
    assert kinds.count("SELECT select-multiple") == 2
    assert kinds.count("BUTTON button") == 8


@pytest.mark.parametrize("width", [1400, 800])
def test_nothing_is_wider_than_the_window(opened, width):
    tab, _ = opened
    tab.set_viewport_size({"width": width, "height": 1000})
    tab.wait_for_timeout(500)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    live = tab.evaluate("(() => {const l = document.querySelector('.live'); return l.scrollWidth - l.clientWidth})()")
    assert live <= 1


def test_on_paper_are_pictures_and_no_number_is_broken(opened):
    tab, _ = opened
    tab.set_viewport_size({"width": 700, "height": 1000})
    tab.emulate_media(media="print")
    lines = """[...document.querySelectorAll("td")].map((td) => {
        const range = document.createRange()
        range.selectNodeContents(td)
        return [td.textContent, range.getClientRects().length]})"""
    told = tab.evaluate(lines)
    assert told.count(["0.03157", 1]) == 7
    assert [text for text, _ in told].count("some words of it") == 7
    assert tab.evaluate("document.documentElement.scrollWidth") <= 700
    assert tab.evaluate("getComputedStyle(document.querySelector('.live')).display") == "none"
    assert tab.evaluate("getComputedStyle(document.querySelector('.still')).display") != "none"
    tab.emulate_media(media="screen")


def test_axe_finds_no_fault(opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (extra test)")
    tab, _ = opened
    found = axe.Axe().run(tab).response["violations"]
    told = {one["id"]: [node["target"] for node in one["nodes"]][:3] for one in found}
    assert told == {}


def test_numbers_and_names_stand_as_they_are(browser, tmp_path):
    """Ids of a database were negative, fractions 0, single floats had nine digits, names were HTML."""
    one = told()
    cells = one.cells.assign(
        field=one.cells["field"].replace("a1", "<b>a1</b>"), label=one.cells["label"] + 3_999_999_998
    )
    cells["area"] = [0.00012344, np.nan, 123456789.0, 2504.2, 1e-7, -0.5, 1e6, 7.0]
    frames = [replace(one.frames[0], field="<b>a1</b>"), *one.frames[1:]]
    rings = {(name.replace("a1", "<b>a1</b>"), k + 3_999_999_998): ring for (name, k), ring in one.outlines.items()}
    page = Page("odd").section("Cells")
    page.interactive(explorer(replace(one, frames=frames, cells=cells, outlines=rings)), {}).write(
        tmp_path / "odd.html"
    )
    tab, said = open_page(browser, tmp_path / "odd.html")
    table = f"""[...Bokeh.index.find_one({MODEL}('table')).shadow_el.querySelectorAll('.slick-row')].map(
        (row) => [...row.querySelectorAll('.slick-cell')].map((cell) => cell.innerText))"""
    assert until(tab, lambda: len(tab.evaluate(table)) == 8)
    assert [row[1] for row in tab.evaluate(table)] == ["3999999999", "4000000000"] * 4
    numbers = ["0.0001234", "–", "123,456,800", "2,504.2", "0.0000001", "-0.5", "1,000,000", "7"]
    assert [row[4] for row in tab.evaluate(table)] == numbers
    select(tab, [0])
    words = f"Bokeh.index.find_one({MODEL}('selected')).shadow_el.lastElementChild.textContent"
    assert until(tab, lambda: tab.evaluate(words) == "Selected: <b>a1</b>, cell 3999999999.")
    assert said == []
