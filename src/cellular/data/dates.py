"""Dates as people and programs write them, to days: ``220516``, ``2022-05-16 10:03``, ``16.05.2022``, Excel's."""

import re
from datetime import date, timedelta

import pandas as pd

from cellular.files import worded

_TIME = re.compile(r"(?<=\d)[T _]+\d{1,2}[:h.]\d\d.*$")
_DAYS = (
    re.compile(r"(?P<year>(?:19|20)\d\d)([-/._]?)(?P<month>\d\d?)\2(?P<day>\d\d?)"),
    re.compile(r"(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)"),
    re.compile(r"(?P<day>\d\d?)\.(?P<month>\d\d?)\.(?P<year>(?:19|20)\d\d)"),
)
_SERIAL = re.compile(r"\d{5}(?:\.\d+)?")
_FIRST, _OF_2000, _OF_2100 = date(1899, 12, 30), 36526, 73050  # Excel's day 0, and its numbers of two new years


def day_of(text: str) -> str:
    """The day of a date as YYMMDD; what is in another spelling stays as it is, without the time of day.

    >>> [day_of(text) for text in ("220516", "2022-05-16T10:03:11Z", "16.5.2022", "44697.42", "05/16/2022 10:03")]
    ['220516', '220516', '220516', '220516', '05/16/2022']
    """
    text = _TIME.sub("", text.strip())
    for match in filter(None, (form.fullmatch(text) for form in _DAYS)):
        try:
            return date(int(match["year"]) % 100 + 2000, int(match["month"]), int(match["day"])).strftime("%y%m%d")
        except ValueError:
            continue
    if _SERIAL.fullmatch(text) and _OF_2000 <= float(text) < _OF_2100:
        return (_FIRST + timedelta(days=int(float(text)))).strftime("%y%m%d")
    return text


def days_of(dates: pd.Series) -> pd.Series:
    """Dates (text, missing NaN) by their day: each as its day is written first, so that one day has one name.

    >>> days_of(pd.Series(["2022-05-16 10:03", "220516", "2022-05-17"])).tolist()
    ['2022-05-16', '2022-05-16', '2022-05-17']
    """
    shown: dict[str, str] = {}
    known = {}
    for text in dates.dropna().unique():
        bare = _TIME.sub("", text.strip())
        known[text] = shown.setdefault(day_of(text), day_of(text) if _SERIAL.fullmatch(bare) else bare)
    return worded(dates, known)


def first_dates(dates: pd.Series, series: pd.Series) -> pd.Series:
    """Each date as the first of its `series`: a position that was filmed past midnight is of the day it began.

    >>> first_dates(pd.Series(["240301", "240302", None]), pd.Series(["a", "a", "b"])).tolist()
    ['240301', '240301', None]
    """
    seen = pd.DataFrame({"date": dates, "series": series}).dropna().drop_duplicates()
    several = seen[seen["series"].duplicated(keep=False)].groupby("series")["date"]
    first = {name: min(days, key=day_of) for name, days in several}
    return dates.mask(dates.notna() & series.isin(list(first)), series.map(first))


def experiments(
    dates: pd.Series, plates: pd.Series, wells: pd.Series, sites: pd.Series, timepoints: pd.Series
) -> pd.Series:
    """The date on which the experiment of each cell began.

    It is the cell's own date, but where dates tell images apart and not experiments: a plate that was imaged over
    several days, or an hour of acquisition in place of a date. Then every image of a well (a site at a timepoint) has
    one date, whichever well of the plate was imaged on several. `dates` are as :func:`days_of` makes them.
    """
    seen = pd.DataFrame({"date": dates, "plate": plates.fillna(""), "well": wells, "site": sites, "time": timepoints})
    seen = seen[dates.notna() & wells.notna()].drop_duplicates()
    several = seen.groupby(["plate", "well"])["date"].transform("nunique") > 1
    images = seen[several].groupby(["plate", "well", "site", "time"], dropna=False)["date"].nunique()
    begun = images.groupby(level="plate").max().eq(1)
    first = {plate: min(seen.loc[seen["plate"] == plate, "date"], key=day_of) for plate in begun.index[begun]}
    return dates.mask(dates.notna() & plates.fillna("").isin(first), plates.fillna("").map(first))
