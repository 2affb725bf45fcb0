"""The picture of a field to look into: channels, layers, single pixels; its cells are those of every other figure.

Plain functions, data in and Bokeh models out. :func:`field_viewer` puts them together.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import (
    BooleanFilter,
    CDSView,
    Column,
    ColumnDataSource,
    CustomJS,
    CustomJSHover,
    CustomJSTickFormatter,
    GroupFilter,
    HoverTool,
    LassoSelectTool,
    PlainText,
    Range1d,
    Row,
)
from bokeh.models.annotations.dimensional import Metric, MetricLength
from bokeh.models.annotations.legends import ScaleBar
from bokeh.models.renderers.glyph_renderer import GlyphRenderer
from bokeh.models.renderers.renderer import DataRenderer
from bokeh.models.ui.ui_element import UIElement
from bokeh.models.widgets.buttons import Button
from bokeh.models.widgets.groups import CheckboxGroup
from bokeh.models.widgets.inputs import Select
from bokeh.models.widgets.markups import Div
from bokeh.models.widgets.sliders import RangeSlider, Slider
from bokeh.plotting import figure

from cellular.autophagy.measure.documentation import axis_label
from cellular.data.image import FieldImage
from cellular.report import glue
from cellular.report.colours import EDGE, KINDS
from cellular.report.filtered import rows_of, view_of
from cellular.report.pictures import PICTURE_BYTES, ChannelPicture, channel_colours, channel_pictures

# Side of the picture on the page, px.
SIDE = 600
# Lines of hundreds of outlines and puncta, px: browsers draw one pixel twice as fast as any other width.
THIN = 1
# What does not fit beside the rest goes below it.
WRAP: dict[str, Any] = {"sizing_mode": "stretch_width", "styles": {"flex-wrap": "wrap"}}
# What a Select offers: its list is of this type, and no list of text alone.
Choices = list[str | tuple[Any, str]]
# Markers of puncta by kind: a shape for those who do not see the colours.
PUNCTA = {"yellow": "circle", "red_only": "triangle", "green_only": "square"}


@dataclass(frozen=True)
class Frame:
    """One field as it is shown.

    Attributes
    ----------
    field : its name. position : name of what is chosen in the list: the field, or the series that it is of.
    time : timepoint, None where there is one only. shape : (Y, X) of the image, px.
    channels : its channels' names, colours and pictures. pixel_size_um : of the image, None where it is not known.
    """

    field: str
    position: str
    time: int | None
    shape: tuple[int, int]
    channels: Mapping[str, tuple[tuple[int, int, int], ChannelPicture]]
    pixel_size_um: float | None = None


def frame_of(image: FieldImage, name: str, count: int, position: str = "", time: int | None = None) -> Frame:
    """A field as one of `count` on a page, which share the room that pictures may take."""
    colours = channel_colours(image)
    pictures = channel_pictures(image, PICTURE_BYTES / (count * len(colours)))
    channels = dict(zip(colours, zip(colours.values(), pictures)))
    return Frame(name, position or name, time, image.shape, channels, image.pixel_size_um)


@dataclass
class Viewer:
    """The viewer's parts, for what is linked to it.

    `here` filters by the frame that is shown, `passing` by the reader's filters; `where` and `when` choose the frame;
    `show` draws it, and is to be called once the page is ready.
    """

    layout: Column
    figure: figure
    here: GroupFilter
    passing: BooleanFilter
    frames: ColumnDataSource
    where: Select
    when: Slider
    layers: dict[str, list[GlyphRenderer]] = field(default_factory=dict)
    show: list[CustomJS] = field(default_factory=list)


def field_viewer(
    frames: Sequence[Frame],
    cells: ColumnDataSource,
    *,
    puncta: pd.DataFrame | None = None,
    outlines: Mapping[str, tuple[str, str, str, str]] | None = None,
    further: Mapping[str, tuple[pd.DataFrame, str, str]] | None = None,
    steps: pd.DataFrame | None = None,
    tooltips: Sequence[tuple[str, str]] = (),
    numbers: Sequence[str] = (),
) -> Viewer:
    """A viewer of `frames`.

    Parameters
    ----------
    cells : a row a cell: ``frame`` (index into `frames`, -1 for none), ``x``, ``y`` (px), ``xs``, ``ys`` (its outline).
    puncta : ``frame, x, y, kind``. steps : of tracks, ``frame, x0, y0, x1, y1`` (a row a frame in which it is drawn).
        Those with a ``label`` go with their cell where filters hide it.
    outlines : layers of cells by name: (column, its value, colour, dash); all cells in one layer without.
    further : layers of outlines that are no cells: (``frame, xs, ys``, colour, dash).
    tooltips : what hovering a cell tells, as Bokeh's. numbers : columns of measurements, told after them.
    """
    here, passing = GroupFilter(column_name="frame", group=0), BooleanFilter()
    shown = _figure(frames[0].shape)
    image = ColumnDataSource({"image": [np.zeros((1, 1), np.uint32)], "width": [1.0], "height": [1.0]})
    shown.image_rgba("image", source=image, x=0, y=0, dw="width", dh="height")
    layers: dict[str, list[GlyphRenderer]] = {}
    for name, (rings, colour, dash) in (further or {}).items():
        source = ColumnDataSource({column: rings[column].tolist() for column in ("frame", "xs", "ys")})
        look: dict[str, Any] = {"line_color": colour, "line_dash": dash, "line_width": THIN}
        layers[name] = [shown.multi_line("xs", "ys", source=source, view=CDSView(filter=here), **look)]
    for name, (by, value, colour, dash) in (outlines or {"outlines": ("", "", EDGE, "solid")}).items():
        chosen = here & passing & GroupFilter(column_name=by, group=value) if by else here & passing
        layers[name] = [add_cells(shown, cells, CDSView(filter=chosen), colour, dash)]
    of_cells: list[DataRenderer] = [
        renderer for group in list(layers.values())[len(further or {}) :] for renderer in group
    ]
    told, as_read = hovered({name: axis_label(name) for name in numbers})
    told = [*tooltips, *told]
    shown.add_tools(HoverTool(renderers=of_cells, tooltips=told, formatters=as_read, point_policy="follow_mouse"))
    if puncta is not None and len(puncta):
        layers |= add_puncta(shown, puncta, rows_of(cells, puncta), here, passing)
    if steps is not None and len(steps):
        layers["tracks"] = [add_steps(shown, steps, rows_of(cells, steps), here, passing)]
    # by whole outlines, cells in pieces and many at the image's border would be in no loop
    unseen: dict[str, Any] = {"size": 1, "alpha": 0, "selection_alpha": 0, "nonselection_alpha": 0}
    middles: list[DataRenderer] = []
    for name in list(layers)[len(further or {}) :][: len(of_cells)]:  # one that is not shown is in no loop either
        layers[name].append(shown.scatter("x", "y", source=cells, view=layers[name][0].view, **unseen))
        middles.append(layers[name][-1])
    next(tool for tool in shown.tools if isinstance(tool, LassoSelectTool)).renderers = middles
    table = ColumnDataSource(
        {
            "field": [frame.field for frame in frames],
            "position": [frame.position for frame in frames],
            "time": [0 if frame.time is None else frame.time for frame in frames],
            "width": [frame.shape[1] for frame in frames],
            "height": [frame.shape[0] for frame in frames],
            "size": [frame.pixel_size_um or 1.0 for frame in frames],
        }
    )
    shown.add_layout(_scale_bar(shown, here, table, all(frame.pixel_size_um for frame in frames)))
    where, when = _choosing(frames)
    viewer = Viewer(Column(sizing_mode="stretch_width"), shown, here, passing, table, where, when, layers)
    viewer.layout.children = [
        Row(children=[where, when]),
        Row(children=[shown, Column(children=[*_light(frames, image, viewer), *_layers(viewer)])], **WRAP),
        Row(children=[*_moving(shown), *_stepping(cells, viewer)], **WRAP),
    ]
    return viewer


def as_written(text: str) -> PlainText:
    """Names and titles for a figure, drawn letter by letter: in a plain string ``$$`` begins a formula of TeX."""
    return PlainText(text=text)


def abbreviated(names: Sequence[str], most: int = 26) -> dict[str, str]:
    """What an axis calls each of `names`, of at most `most` letters: beside longer ones no room is left to the plot.

    Names that would then be the same stay whole.

    >>> abbreviated(["DMSO", "rapamycin 100 nM, wild type, day 2"])
    {'DMSO': 'DMSO', 'rapamycin 100 nM, wild type, day 2': 'rapamycin 100 …type, day 2'}
    """
    short = {name: name if len(name) <= most else f"{name[: most - 12]}…{name[-11:]}" for name in names}
    often = Counter(short.values())
    return {name: words if often[words] == 1 else name for name, words in short.items()}


def hovered(columns: Mapping[str, str], of_words: Collection[str] = ()) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Tooltips and formatters of a HoverTool for `columns`, by what they are called; numbers are told as in tables.

    Bokeh's own are powers of ten from 1,000 on.
    """
    read = CustomJSHover(code=f"return ({glue.NUMBER})(value)")
    form = {name: "" if name in of_words else "{custom}" for name in columns}
    tooltips = [(words, f"@{{{name}}}{form[name]}") for name, words in columns.items()]
    return tooltips, {f"@{{{name}}}": read for name in columns if form[name]}


def add_cells(
    shown: figure, cells: ColumnDataSource, view: CDSView, colour: str, dash: str = "solid", hatch: str = " "
) -> GlyphRenderer:
    """Outlines of cells that can be clicked; those that are selected are thick and filled."""
    look: dict[str, Any] = {"line_color": colour, "line_dash": dash, "line_width": THIN, "fill_color": colour}
    drawn = shown.patches("xs", "ys", source=cells, view=view, fill_alpha=0.0, **look)
    drawn.glyph.hatch_pattern, drawn.glyph.hatch_color, drawn.glyph.hatch_alpha = hatch, colour, 0.5
    drawn.selection_glyph = drawn.glyph.clone(line_width=3, fill_alpha=0.25, line_dash="solid", line_color="#00E5FF")
    drawn.nonselection_glyph = drawn.glyph.clone(line_alpha=0.75)
    return drawn


def add_puncta(
    shown: figure, puncta: pd.DataFrame, cell: np.ndarray, here: GroupFilter, passing: BooleanFilter
) -> dict[str, list[GlyphRenderer]]:
    """Puncta as a layer a kind, each with its own marker; `cell` (N,) are the rows of their cells."""
    kinds = puncta["kind"].fillna("") if "kind" in puncta else pd.Series("", puncta.index)
    layers = {}
    for kind, rows in puncta.assign(cell=cell).groupby(kinds, sort=True):
        colour, marker = KINDS.get(kind, EDGE), PUNCTA.get(kind, "diamond")
        source = ColumnDataSource(
            {name: rows[name].to_numpy(np.int32) for name in ("frame", "cell")}
            # centres of pixels are at whole numbers in tables, at halves in the picture
            | {name: rows[name].to_numpy(np.float32) + 0.5 for name in ("x", "y")}
        )
        look: dict[str, Any] = {
            "line_color": colour,
            "fill_color": None,
            "line_width": THIN,
            "marker": marker,
            "size": 9,
        }
        drawn = shown.scatter("x", "y", source=source, view=view_of(source, here, passing), **look)
        layers[f"puncta: {kind.replace('_', ' ')} ({marker})" if kind else f"puncta ({marker})"] = [drawn]
    return layers


def add_steps(
    shown: figure, steps: pd.DataFrame, cell: np.ndarray, here: GroupFilter, passing: BooleanFilter
) -> GlyphRenderer:
    """The way that cells came to where they are in the frame; `cell` (N,) are the rows of these cells."""
    data = {name: steps[name].to_numpy(np.float32) + 0.5 for name in ("x0", "y0", "x1", "y1")}
    source = ColumnDataSource(data | {"frame": steps["frame"].to_numpy(np.int32), "cell": cell})
    look: dict[str, Any] = {"line_color": "#E69F00", "line_width": 2, "view": view_of(source, here, passing)}
    return shown.segment("x0", "y0", "x1", "y1", source=source, **look)


def _figure(shape: tuple[int, int]) -> figure:
    side = float(max(shape))
    across = Range1d(start=0, end=side)
    shown = figure(
        x_range=across,
        y_range=Range1d(start=side, end=0),
        tools="pan,wheel_zoom,tap,lasso_select,reset,save",
        active_scroll="wheel_zoom",
        toolbar_location="above",
        background_fill_color="#202020",
        tags=["", -1],
        name="field",
        # of its own width beside what is stretched: pixels stay square
        styles={"flex": "none"},
        sizing_mode="fixed",
        width=SIDE,
        height=SIDE + 30,
        min_border=0,
    )
    shown.grid.visible = shown.axis.visible = False
    return shown


def _scale_bar(shown: figure, here: GroupFilter, frames: ColumnDataSource, known: bool) -> ScaleBar:
    """A bar of a round length in um, by the frame's own pixel size; in px where one of them is not `known`."""
    across: Any = shown.x_range
    look: dict[str, Any] = {"location": "bottom_right", "background_fill_alpha": 0.7, "name": "scale"}
    if not known:
        return ScaleBar(range=across, unit="px", dimensional=Metric(base_unit="px", include=["px"]), **look)
    size = frames.data["size"][0]
    own = Range1d(start=across.start * size, end=across.end * size)
    follow = CustomJS(args={"own": own, "px": across, "frames": frames, "here": here}, code=glue.SCALE)
    across.js_on_change("end", follow)
    across.js_on_change("start", follow)
    here.js_on_change("group", follow)
    return ScaleBar(range=own, unit="µm", dimensional=MetricLength(), **look)


def _choosing(frames: Sequence[Frame]) -> tuple[Select, Slider]:
    positions: Choices = list(dict.fromkeys(frame.position for frame in frames))
    times = sorted({frame.time for frame in frames if frame.time is not None})
    where = Select(title="Field", value=positions[0], options=positions, name="where", width=380)
    timed = len(times) > 1
    first, last = (times[0], times[-1]) if timed else (0, 1)
    when = Slider(title="Timepoint", start=first, end=last, value=first, step=1, visible=timed, name="when", width=220)
    return where, when


def slider_numbers(step: float = 0.0) -> CustomJSTickFormatter:
    """The ends of a slider as numbers are read; Bokeh's own have two decimals, those of fractions are 0.

    Of a slider that moves by `step` no more decimals than that has.
    """
    grain = 10.0 ** np.floor(np.log10(step)) if step > 0 else 0.0
    code = f"return ({glue.NUMBER})(grain ? Math.round(tick / grain) * grain : tick)"
    return CustomJSTickFormatter(args={"grain": float(grain)}, code=code)


def _light(frames: Sequence[Frame], image: ColumnDataSource, viewer: Viewer) -> list[UIElement]:
    """Channels on and off, and the levels each is shown between: the same for all fields, so that they compare."""
    names = list(frames[0].channels)
    rows = [frame.channels[name] for frame in frames for name in names]
    data = {"url": [p.url for _, p in rows], "low": [p.low for _, p in rows], "high": [p.high for _, p in rows]}
    data |= {part: [colour[k] for colour, _ in rows] for k, part in enumerate(("red", "green", "blue"))}
    on = CheckboxGroup(labels=names, active=list(range(len(names))), name="channels")
    contrast = []
    for k, name in enumerate(names):
        own = [frame.channels[name][1] for frame in frames]
        low, high = min(p.low for p in own), max(p.high for p in own)
        # one saturated field must not darken all others
        first = float(np.median([p.dark for p in own])), float(np.quantile([p.bright for p in own], 0.8))
        step = (high - low) / 500
        contrast.append(
            RangeSlider(
                title=name, start=low, end=high, value=first, step=step, width=220, name=f"level{k}",
                format=slider_numbers(step),
            )
        )  # fmt: skip
    args: dict[str, Any] = {
        "here": viewer.here,
        "pictures": ColumnDataSource(data),
        "frames": viewer.frames,
        "image": image,
    }
    args |= {"figure": viewer.figure, "on": on, "contrast": contrast}
    # decoding takes its time, and waits
    show = CustomJS(args=args, code=f"(async () => {{{glue.SHOW}}})()")
    viewer.here.js_on_change("group", show)
    on.js_on_change("active", show)
    for slider in contrast:
        slider.js_on_change("value", show)
    go = CustomJS(args=_going(viewer), code=glue.OPEN)
    viewer.where.js_on_change("value", go)
    viewer.when.js_on_change("value", go)
    viewer.show = [go, show]
    return [_title("Channels"), on, *contrast]


def _going(viewer: Viewer) -> dict[str, Any]:
    args = {"here": viewer.here, "frames": viewer.frames, "where": viewer.where, "when": viewer.when}
    return args | {"figure": viewer.figure}


def _layers(viewer: Viewer) -> list[UIElement]:
    names = list(viewer.layers)
    boxes = CheckboxGroup(labels=names, active=list(range(len(names))), name="layers")
    args = {"renderers": list(viewer.layers.values()), "layers": boxes}
    boxes.js_on_change("active", CustomJS(args=args, code=glue.LAYERS))
    return [_title("Layers"), boxes]


def _title(text: str) -> UIElement:
    return Div(text=f"<strong>{text}</strong>")


def _moving(shown: figure) -> list[Button]:
    """Moving without a mouse."""
    moves = {
        "zoom in": (0, 0, 0.5),
        "zoom out": (0, 0, 2),
        "left": (-0.25, 0, 1),
        "right": (0.25, 0, 1),
        "up": (0, -0.25, 1),
        "down": (0, 0.25, 1),
    }
    buttons = []
    for label, (across, down, zoom) in moves.items():
        button = Button(label=label, width=70, name=label)
        args = {"figure": shown, "across": across, "down": down, "zoom": zoom}
        button.js_on_click(CustomJS(args=args, code=glue.MOVE))
        buttons.append(button)
    return buttons


def _stepping(cells: ColumnDataSource, viewer: Viewer) -> list[Button]:
    buttons = []
    for label, by in (("previous cell", -1), ("next cell", 1)):
        button = Button(label=label, width=110, name=label)
        args = {"cells": cells, "passing": viewer.passing, "here": viewer.here, "by": by}
        button.js_on_click(CustomJS(args=args, code=glue.STEP))
        buttons.append(button)
    return buttons
