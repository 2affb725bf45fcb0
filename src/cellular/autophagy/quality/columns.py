"""Every column of ``quality.csv``: unit, type, one sentence."""

from cellular.autophagy.measure.columns import Column

# One of each for every channel, as <name>__<channel>.
PER_CHANNEL = {
    "power_slope": Column("1", "float64", "Slope of log power against log frequency (CellProfiler's PowerLogLogSlope)."),
    "sharpness": Column("1", "float64", "1 - autocovariance 2 px on over that 1 px on (after Vollath's F4)."),
    "saturated": Column("1", "float64", "Share of the field's pixels that are saturated."),
    "background": Column("level", "float64", "Most common level: that of the ground between cells."),
    "background_range": Column("level", "float64", "Brightest less darkest part of a bowl fitted to the background."),
    "noise": Column("level", "float64", "Robust standard deviation of a pixel of the background."),
    "signal": Column("level", "float64", "99 % quantile of the field less its background."),
    "debris": Column("1", "float64", "Share of the ground off the cells brighter than nine tenths of their pixels."),
}
QUALITY = {
    "field": Column("", "str", "Name of the field of view."),
    "date": Column("YYMMDD", "str", "Date of acquisition."),
    "plate": Column("", "str", "Plate; fields are judged against others of their plate."),
    "well": Column("", "str", "Well, as in A01."),
    "site": Column("", "int64", "Position inside the well."),
    "timepoint": Column("", "int64", "Number of the image in its time series."),
    "cells": Column("1", "int64", "Cells outlined; missing where none were sought."),
    **{f"{name}__CHANNEL": column for name, column in PER_CHANNEL.items()},
    "flagged": Column("", "bool", "Something sets the field apart from its plate."),
    "reasons": Column("", "str", "What that is, in words; empty for a field that is not flagged."),
}
