"""Which fields are unlike the others of their plate, and in what: robust rules, each with its reason in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellular.autophagy.quality.alignment import OUTLINES, reporter_pair

# Standard deviations (1.4826 MAD) from the plate's median that make a field odd, if the rule's floor is passed too.
DEVIATIONS = 5.0
# With fewer fields on a plate there is no telling which is odd.
FEWEST_FIELDS = 6
# Focus is judged where the cells' light is this many times the background's noise or more.
SEEN = 5.0


@dataclass(frozen=True)
class Rule:
    """One way for a field to be odd in a channel.

    Attributes
    ----------
    what : what is wrong, in words.
    measure : the column that the reason cites.
    scale : from the plate's rows and the channel's name to values (N,) on a scale where deviations are to be compared.
    low, high : which side is odd.
    floor : distance from the median on that scale that is never odd.
    """

    what: str
    measure: str
    scale: Callable[[pd.DataFrame, str], pd.Series]
    floor: float
    low: bool = False
    high: bool = False

    def odd(self, rows: pd.DataFrame, channel: str) -> pd.Series:
        """(N,) bool."""
        values = self.scale(rows, channel).astype(float)
        if values.isna().all():
            return values.notna()
        away = values - values.median()
        least = max(self.floor, DEVIATIONS * 1.4826 * float(away.abs().median()))
        return ((away < -least) & self.low) | ((away > least) & self.high)


def _log2(name: str, least: float) -> Callable[[pd.DataFrame, str], pd.Series]:
    """Doublings of a measure; `least` is added, below which there is no difference."""
    return lambda rows, channel: np.log2(rows[f"{name}__{channel}"].clip(lower=0) + least)


def _doublings_of_light(rows: pd.DataFrame, channel: str) -> pd.Series:
    """Doublings of the signal, whatever its unit; a tenth of the plate's noise is added, which is no light."""
    noise = float(rows[f"noise__{channel}"].median())
    return np.log2(rows[f"signal__{channel}"].clip(lower=0) + max(noise / 10, 1e-9))


def _of_light(name: str) -> Callable[[pd.DataFrame, str], pd.Series]:
    """A level as a multiple of the plate's usual light: of its signal, in transmitted light of its background."""

    def scaled(rows: pd.DataFrame, channel: str) -> pd.Series:
        light = rows[f"{'background' if channel == 'transmitted' else 'signal'}__{channel}"].median()
        return rows[f"{name}__{channel}"] / max(float(light), 1e-9)

    return scaled


def _when_seen(name: str, log: bool) -> Callable[[pd.DataFrame, str], pd.Series]:
    """A measure of focus, missing where there is hardly anything to be in focus."""

    def scaled(rows: pd.DataFrame, channel: str) -> pd.Series:
        # the plate's noise: where a field is blurred, its own is told from cells that have run into the ground
        noise = rows[f"noise__{channel}"].median()
        values = rows[f"{name}__{channel}"].where(rows[f"signal__{channel}"] >= SEEN * noise)
        return np.log2(values.clip(lower=1e-9)) if log else values

    return scaled


# Out of focus is what both say: a field of other cells may have another slope, or finer structures, not less of both.
_FOCUS = (
    Rule("out of focus", "power_slope", _when_seen("power_slope", False), 0.5, low=True),
    Rule("out of focus", "sharpness", _when_seen("sharpness", True), 1.0, low=True),
)
# Structures two and a half times as wide as is usual need no second witness: noise that is not blurred with them, or
# levels a step apart, make the slope of a plane without any detail look usual again.
_COARSE = Rule("out of focus", "sharpness", _when_seen("sharpness", True), 2.5, low=True)
_RULES = (
    # a thousandth of the pixels saturated is little; then three times the plate's usual share
    Rule("saturated", "saturated", _log2("saturated", 0.001), float(np.log2(3)), high=True),
    Rule("odd background", "background", _of_light("background"), 0.25, low=True, high=True),
    Rule("uneven background", "background_range", _of_light("background_range"), 0.25, high=True),
    Rule("debris", "debris", lambda rows, channel: rows[f"debris__{channel}"], 0.01, high=True),
)
_DARK = Rule("hardly any light", "signal", _doublings_of_light, 2.0, low=True)
# Where the reporter's channels agree less, the place where they agree best is a chance: 0.4 for fields of other cells.
_AGREE = 0.5
# A field's own outlines agree with its light by 0.84 and more where it holds dozens of cells, others' by about 0.1.
_OWN = 0.75
# px; what the shift of a field is known to is less than one.
_SHIFTED, _ALL_SHIFTED = 2.0, 1.5


def _where_they_agree(name: str) -> Callable[[pd.DataFrame, str], pd.Series]:
    """A shift of the reporter's channels, missing where they do not agree anywhere."""
    return lambda rows, _: rows[name].where(rows["channel_agreement"] >= _AGREE)


def _where_both_are_seen(rows: pd.DataFrame, _: str) -> pd.Series:
    """Agreement of the reporter's channels, missing where one of them shows hardly anything."""
    light = [rows[f"signal__{name}"] >= SEEN * rows[f"noise__{name}"].median() for name in _pair(rows) or ()]
    return rows["channel_agreement"].where(np.all(light, axis=0))


def _pair(rows: pd.DataFrame) -> tuple[str, str] | None:
    """The reporter's channels, where they were compared."""
    names = [name.removeprefix("signal__") for name in rows if name.startswith("signal__")]
    return reporter_pair(names) if "channel_agreement" in rows else None


_PAIR = (
    Rule("channels shifted", "channel_shift_y", _where_they_agree("channel_shift_y"), _SHIFTED, True, True),
    Rule("channels shifted", "channel_shift_x", _where_they_agree("channel_shift_x"), _SHIFTED, True, True),
    Rule("channels that do not belong together", "channel_agreement", _where_both_are_seen, 0.5, low=True),
)
_OUTLINES = Rule(
    "outlines that do not lie on the light", OUTLINES, lambda rows, _: rows[OUTLINES].astype(float), 0.5, low=True
)
_CELLS = Rule("odd number of cells", "cells", lambda rows, _: np.log2(rows["cells"].astype(float) + 1), 2.0, True, True)


def flag_fields(quality: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table with ``flagged`` and ``reasons``, and a sentence for whatever concerns a whole plate.

    Parameters
    ----------
    quality : rows of :func:`cellular.autophagy.quality.field.measure_quality`, of one or more plates.

    A field is odd in a measure where it lies more than five robust standard deviations from the median of its plate
    (a plate of one date), and farther than that measure's floor: half or twice of most things is no fault. The rules
    are blind to what wells were given: a treatment that empties its wells is flagged like a failure, with the reason.
    """
    channels = [name.removeprefix("signal__") for name in quality if name.startswith("signal__")]
    reasons: list[list[str]] = [[] for _ in range(len(quality))]
    notes = []
    plates = quality["plate"].fillna("").astype(str) + " " + quality["date"].fillna("").astype(str)
    for name, at in quality.groupby(plates, sort=True).indices.items():
        rows = quality.iloc[at]
        if len(at) < FEWEST_FIELDS:
            notes.append(f"{_called(name)}: {len(at)} fields are too few to tell which is odd; none is flagged")
        else:
            for place, reason in _odd(rows, channels):
                reasons[at[place]].append(reason)
        found = (*_saturated(rows, channels), *_all_shifted(rows), *_all_outlines_off(rows))
        notes += [f"{_called(name)}: {text}" for text in found]
    told = ["; ".join(here) for here in reasons]
    return quality.assign(flagged=[bool(text) for text in told], reasons=pd.Series(told, quality.index, object)), notes


def same_images(quality: pd.DataFrame) -> list[str]:
    """A sentence for each field that measures as another to the last digit: noise makes no two images so alike."""
    channels = [name.removeprefix("signal__") for name in quality if name.startswith("signal__")]
    names = [f"{measure}__{channel}" for channel in channels for measure in ("power_slope", "sharpness", "noise")]
    # a plane without noise, of one value say, may be like another's
    noisy = quality[names[2::3]].gt(0).any(axis=1) & quality[names].notna().any(axis=1)
    groups = quality[noisy].groupby(names, dropna=False, sort=False)["field"] if channels else ()
    return [
        f"{', '.join(fields[1:4])}{' and more' if len(fields) > 4 else ''}: the same image as {fields.iloc[0]}, whose "
        "cells count twice; leave copies out with --exclude"
        for _, fields in groups
        if len(fields) > 1
    ]


def _called(name: str) -> str:
    return f"plate {name.strip()}" if name.strip() else "the plate"


def _odd(rows: pd.DataFrame, channels: Sequence[str]) -> list[tuple[int, str]]:
    """(place, reason) of everything odd among the rows of one plate."""
    found = []
    for channel in channels:
        out = _FOCUS[0].odd(rows, channel) & _FOCUS[1].odd(rows, channel)
        found += _reasons(_FOCUS[0], rows, channel, out)
        found += _reasons(_COARSE, rows, channel, _COARSE.odd(rows, channel) & ~out)
        rules = _RULES if channel == "transmitted" else (*_RULES, _DARK)
        for rule in rules:
            found += _reasons(rule, rows, channel, rule.odd(rows, channel))
    for rule in (*(_PAIR if _pair(rows) else ()), *([_OUTLINES] if OUTLINES in rows else ()), _CELLS):
        found += _reasons(rule, rows, "", rule.odd(rows, ""))
    return found


def _reasons(rule: Rule, rows: pd.DataFrame, channel: str, odd: pd.Series) -> list[tuple[int, str]]:
    if not odd.any():
        return []
    values = rows[f"{rule.measure}__{channel}" if channel else rule.measure].astype(float)
    about = rule.measure.replace("_", " ")
    usual = f"usually {_short(values.median(), about)}"
    return [
        (place, f"{channel} {rule.what}".strip() + f": {about} {_short(values.iloc[place], about)}, {usual}")
        for place in np.flatnonzero(odd.to_numpy())
    ]


def _short(value: float, about: str) -> str:
    return (
        f"{value:.2%}" if about in ("saturated", "debris") else f"{value:,.0f}" if abs(value) > 100 else f"{value:.3g}"
    )


def _saturated(rows: pd.DataFrame, channels: Sequence[str]) -> list[str]:
    """What is wrong with most fields alike, which no comparison among them shows."""
    return [
        f"half of the fields have {share:.2%} or more of their pixels saturated in {channel}"
        for channel in channels
        if (share := float(rows[f"saturated__{channel}"].median())) > 0.001
    ]


def _all_shifted(rows: pd.DataFrame) -> list[str]:
    """The same of channels that lie beside each other, as by a mirror's angle."""
    pair = _pair(rows)
    if pair is None:
        return []
    down, right = (float(_where_they_agree(name)(rows, "").median()) for name in ("channel_shift_y", "channel_shift_x"))
    away = float(np.hypot(down, right))
    if not away >= _ALL_SHIFTED:
        return []
    return [
        f"{pair[1]} lies {away:.1f} px off {pair[0]} in most fields ({down:+.1f} down, {right:+.1f} right): what both "
        "channels tell at one place, kinds of puncta above all, is wrong; align the channels first"
    ]


def _all_outlines_off(rows: pd.DataFrame) -> list[str]:
    if OUTLINES not in rows or not float(rows[OUTLINES].astype(float).median()) < _OWN:
        return []
    return [
        "in most fields the outlines do not lie on the light: are they those of these images, neither turned nor "
        "mirrored nor moved? Nothing that is measured in them counts otherwise"
    ]
