"""The few lines of JavaScript between Bokeh's models: each does what no property of them can.

Bokeh draws, selects, filters, pans and lays out. Left to write: decoding a picture, what follows from a selection, and
which rows pass the filters.
"""

# A number as it is read: thousands set apart, three decimals, of a fraction four digits (three decimals of 0.0004 are
# 0); a dash for none. Single floats have seven digits.
NUMBER = """
(value) => value == null || value !== value ? "–"
  : Math.abs(value) < 1 ? value.toLocaleString("en", {maximumSignificantDigits: 4})
  : Number(value.toPrecision(7)).toLocaleString("en", {maximumFractionDigits: 3})
""".strip()

# args: here (GroupFilter of the frame), pictures, frames, image (the RGBA that is drawn), figure, on, contrast
SHOW = """
const n = contrast.length, frame = here.group
const width = frames.data.width[frame], height = frames.data.height[frame]
const planes = (globalThis.cellularPlanes ??= new Map())
const decoded = async (row) => {
  const key = pictures.id + "/" + row
  if (!planes.has(key)) {
    const source = new Image()
    source.src = pictures.data.url[row]
    await source.decode()
    const canvas = new OffscreenCanvas(source.width, source.height)
    const context = canvas.getContext("2d", {willReadFrequently: true})
    context.drawImage(source, 0, 0)
    const rgba = context.getImageData(0, 0, source.width, source.height).data
    const grey = new Uint8Array(rgba.length / 4)
    // a loop, not Uint8Array.from: a call for each of four million pixels is most of a second
    for (let k = 0; k < grey.length; k++) grey[k] = rgba[4 * k]
    planes.set(key, {grey, width: source.width, height: source.height})
  }
  return planes.get(key)
}
const channels = await Promise.all([...Array(n).keys()].map((c) => decoded(frame * n + c)))
if (here.group === frame) {
  const w = channels[0].width, h = channels[0].height
  const mixed = new Uint8ClampedArray(4 * w * h)
  new Uint32Array(mixed.buffer).fill(0xff000000)
  for (const c of on.active) {
    const {low, high, red, green, blue} = pictures.data, row = frame * n + c
    const [dark, bright] = contrast[c].value
    const light = Float32Array.from({length: 256}, (_, v) =>
      Math.min(1, Math.max(0, (low[row] + v / 255 * (high[row] - low[row]) - dark) / (bright - dark || 1))))
    const parts = [red[row], green[row], blue[row]]
    for (let part = 0; part < 3; part++) {
      if (!parts[part]) continue
      const grey = channels[c].grey, table = Uint8Array.from(light, (v) => Math.round(v * parts[part]))
      for (let k = 0, at = part; k < grey.length; k++, at += 4) mixed[at] += table[grey[k]]
    }
  }
  const Pixels = image.data.image[0].constructor
  image.data = {image: [new Pixels(new Uint32Array(mixed.buffer), [h, w])], width: [width], height: [height]}
  figure.tags = ["shown", frame]
}
"""

# args: here, frames, where (Select), when (Slider), figure
OPEN = """
const {position, time, width, height} = frames.data
// at this time, or the nearest at which this position was imaged: what is shown is what is said
const found = Array.from(position.keys()).filter((k) => position[k] == where.value)
  .reduce((a, b) => Math.abs(time[b] - when.value) < Math.abs(time[a] - when.value) ? b : a)
if (when.visible && time[found] != when.value) when.value = time[found]
else {
  const across = figure.inner_width, down = figure.inner_height
  if (figure.tags[1] !== -1 && position[here.group] != where.value || figure.tags[0] === "") {
    const scale = Math.max(width[found] / across, height[found] / down)
    figure.x_range.setv({start: 0, end: scale * across})
    figure.y_range.setv({start: scale * down, end: 0})
  }
  here.group = found
}
"""

# args: cells, passing (BooleanFilter), told: which of the selected cells the filters leave, and a sentence on them
SAID = """
const chosen = cells.selected.indices, keep = passing.booleans, {frame, x, y, well_row, field, label} = cells.data
const seen = chosen.filter((k) => !keep || keep[k]), hidden = chosen.length - seen.length
const pictured = seen.filter((k) => frame[k] >= 0)
const where_from = seen.length === 1 ? `${field[seen[0]]}, cell ${label[seen[0]]}` : `${seen.length} cells`
told.text = !chosen.length ? "No cell is selected." : `Selected: ${where_from}` +
  (hidden ? `, and ${hidden} that the filters hide` : "") +
  (pictured.length || !seen.length ? "." : "; their fields are not on this page.")
"""

# args: those of SAID, wells (or null), frames, where, when, figure: what follows from a selection of cells
SELECTED = """
if (wells) {
  const rows = [...new Set(chosen.map((k) => well_row[k]))].filter((row) => row >= 0).sort((a, b) => a - b)
  if (rows.join() !== wells.selected.indices.join()) wells.selected.indices = rows
}
if (pictured.length && !pictured.some((k) => frame[k] === here.group)) {
  const to = frame[pictured[0]]
  where.value = String(frames.data.position[to])
  if (when.visible) when.value = frames.data.time[to]
}
if (seen.length === 1 && pictured.length) {
  const {x_range, y_range} = figure, across = x_range.end - x_range.start, down = y_range.start - y_range.end
  const k = seen[0], inside = x[k] > x_range.start && x[k] < x_range.end && y[k] > y_range.end && y[k] < y_range.start
  if (!inside) {
    x_range.setv({start: x[k] - across / 2, end: x[k] + across / 2})
    y_range.setv({start: y[k] + down / 2, end: y[k] - down / 2})
  }
}
"""

# args: cells, wells: a well stands for its cells
WELLS = """
const rows = new Set(wells.selected.indices), of = cells.data.well_row
const now = new Set(cells.selected.indices.map((k) => of[k]).filter((row) => row >= 0))
if (rows.size !== now.size || [...rows].some((row) => !now.has(row)))
  cells.selected.indices = Array.from(of.keys()).filter((k) => rows.has(of[k]))
"""

# args: cells, passing (BooleanFilter), columns, choices (a MultiSelect each), quality, what, value (RangeSlider), notes
# (of figures: a saved one tells of the filters)
FILTER = (
    f"const read = {NUMBER}"
    + """
const data = cells.data, values = data[what.value], [low, high] = value.value
const whole = low <= value.start && high >= value.end
const allowed = columns.map((name, k) => [data[name], new Set(choices[k].value)]).filter(([, set]) => set.size)
const passes = Array.from(values, (v, k) =>
  allowed.every(([column, set]) => set.has(String(column[k]))) &&
  (quality.value === "all" || (data.flagged[k] ? "flagged" : "usual") === quality.value) &&
  (whole || (v >= low && v <= high)))
passing.booleans = passes.every(Boolean) ? null : passes
told.text = `${passes.filter(Boolean).length} of ${passes.length} cells pass the filters.` +
  (passing.booleans ? " Means of units and wells stay those of all." : "")
const only = [
  ...columns.map((name, k) => choices[k].value.length ? `${name} ${choices[k].value.join(" or ")}` : ""),
  quality.value === "all" ? "" : `${quality.value} fields`,
  whole ? "" : `${what.options.find(([name]) => name === what.value)[1]} from ${read(low)} to ${read(high)}`,
].filter(Boolean).join("; ")
const lines = `Cells filtered: only ${only}`.match(/.{1,75}(?:\\s|$)|.{75}/g)
for (const note of notes) {
  const text = note.text.clone()
  text.text = passing.booleans ? lines.join("\\n") : ""
  note.setv({text, visible: passing.booleans !== null})
}
"""
)

# args: own (BooleanFilter), passing (that of the cells), source (its ``cell`` is a row of the cells, -1 for none)
FOLLOW = """
const keep = passing.booleans
own.booleans = keep && Array.from(source.data.cell, (row) => row < 0 || keep[row])
"""

# args: cells, what (Select), value (RangeSlider)
SPAN = """
const known = Array.from(cells.data[what.value]).filter(Number.isFinite)
if (!known.length) known.push(0)
const low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity)
const end = high > low ? high : low + 1
value.setv({start: low, end, step: (end - low) / 200, value: [low, end]})
"""

# args: renderers, axis, features, names (theirs in words), what (Select)
FEATURE = """
for (const renderer of renderers)
  for (const part of ["glyph", "selection_glyph", "nonselection_glyph", "muted_glyph", "hover_glyph"])
    // "auto" stands for one that Bokeh makes from the first
    if (renderer[part]?.y) renderer[part].y = {field: what.value}
const label = axis.axis_label.clone()
label.text = names[features.indexOf(what.value)]
axis.axis_label = label
"""

# args: mapper, scales (a pair of ends a feature), renderers, hovers (HoverTool), axes, features, names, what: colours,
# and what is told of them
WELL_FEATURE = """
const [low, high] = scales[features.indexOf(what.value)]
mapper.setv({low, high})
for (const renderer of renderers)
  for (const part of ["glyph", "selection_glyph", "nonselection_glyph"])
    renderer[part].fill_color = {field: what.value, transform: mapper}
const told = [names[features.indexOf(what.value)], `@{${what.value}}{custom}`]
for (const hover of hovers) hover.tooltips = [...hover.tooltips.slice(0, -1), told]
for (const axis of axes) {
  const label = axis.axis_label.clone()
  label.text = told[0]
  axis.axis_label = label
}
"""

# args: figure, by (px share), zoom: moving by keyboard
MOVE = """
const {x_range: x, y_range: y} = figure, w = x.end - x.start, h = y.start - y.end
const cx = (x.start + x.end) / 2 + across * w, cy = (y.start + y.end) / 2 + down * h
x.setv({start: cx - zoom * w / 2, end: cx + zoom * w / 2})
y.setv({start: cy + zoom * h / 2, end: cy - zoom * h / 2})
"""

# args: cells, passing, here, by: the next cell of the field, for those without a mouse
STEP = """
const {frame} = cells.data, keep = passing.booleans
const own = Array.from(frame.keys()).filter((k) => frame[k] === here.group && (!keep || keep[k]))
const now = own.indexOf(cells.selected.indices[0])
let held = document.activeElement
while (held?.shadowRoot?.activeElement) held = held.shadowRoot.activeElement
// the table takes the focus when a row is selected
setTimeout(() => held?.focus(), 0)
if (own.length) cells.selected.indices = [own[(now + by + own.length + (now < 0 && by < 0 ? 1 : 0)) % own.length]]
"""

# args: renderers (a list a layer), layers (CheckboxGroup)
LAYERS = """
renderers.forEach((group, k) => group.forEach((renderer) => { renderer.visible = layers.active.includes(k) }))
"""

# args: own (the scale bar's range, um), px (the picture's), frames (size, um), here
SCALE = """
const size = frames.data.size[here.group]
own.setv({start: px.start * size, end: px.end * size})
"""

# args: table: the tab key leaves it, where it would walk through every cell
LEAVE = """
Bokeh.index.get_one(table)?.el.addEventListener("keydown", (event) => {
  if (event.key === "Tab") event.stopImmediatePropagation()
}, true)
"""

# args: table: its header and rows are the grid; Bokeh from 3.10 calls the whole one, with what only takes the focus
ROWS = """
const whole = Bokeh.index.get_one(table)?.shadow_el.querySelector("[role=grid]")
if (whole) {
  const [header, rows] = [".slick-header-columns", ".grid-canvas"].map((name) => whole.querySelector(name))
  whole.removeAttribute("role")
  header.id = "header"
  for (const [said, what] of [["role", "grid"], ["aria-owns", header.id]]) rows.setAttribute(said, what)
}
"""

# What a screen reader calls the handles of all sliders, which Bokeh leaves without a name; those not drawn yet are
# waited for.
NAMES = """
const name = (slider, looks) => {
  const handles = [...(Bokeh.index.find_one(slider)?.shadow_el.querySelectorAll("[role=slider]") ?? [])]
  const ends = handles.length > 1 ? [", from", ", to"] : [""]
  handles.forEach((handle, k) => handle.setAttribute("aria-label", slider.title + ends[k]))
  if (!handles.length && looks) setTimeout(() => name(slider, looks - 1), 100)
}
for (const root of Bokeh.documents.flatMap((document) => document.roots()))
  for (const model of root.references()) if (model.type.endsWith("Slider")) name(model, 100)
"""

# Tabulator's grid holds the buttons of its pages, which no reader takes for a part of one; here the rows and their
# header are the grid, called what the first tag says.
GRIDS = """
const part = (model, looks) => {
  const found = (name) => Bokeh.index.find_one(model)?.shadow_el.querySelector(".tabulator" + name)
  const [whole, header, rows] = ["", "-header", "-tableholder"].map(found)
  if (!rows) return looks && setTimeout(() => part(model, looks - 1), 100)
  for (const said of ["role", "aria-owns"]) whole.removeAttribute(said)
  header.id = "header"
  for (const [said, what] of [["role", "grid"], ["aria-owns", header.id], ["aria-label", model.tags[0]]])
    rows.setAttribute(said, what)
}
for (const root of Bokeh.documents.flatMap((document) => document.roots()))
  for (const model of root.references()) if (model.type.endsWith("Tabulator")) part(model, 100)
"""
