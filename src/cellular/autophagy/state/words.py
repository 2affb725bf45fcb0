"""The words for states: ours, those of the dataset and its treatments, and whatever else people call theirs."""

import pandas as pd

BASAL, ACTIVATED, UNIDENTIFIED = "basal", "activated", "Unidentified"
# The dataset's classes and treatments, as states; compared without regard to case.
STATES = {"fed": BASAL, "unfed": ACTIVATED, "starved": ACTIVATED, BASAL: BASAL, ACTIVATED: ACTIVATED}
_OURS = {**STATES, UNIDENTIFIED.casefold(): UNIDENTIFIED}


def in_our_words(word: object) -> str | None:
    """A state without blanks about it; the dataset's classes by our names; None for an empty one.

    >>> in_our_words(" Unfed "), in_our_words(1.0), in_our_words("")
    ('activated', '1', None)
    """
    if word is None or pd.isna(word) or not str(word).strip():
        return None
    # numbers beside an empty field become floats on their way through a table
    text = str(int(word) if isinstance(word, float) and word.is_integer() else word).strip()
    return _OURS.get(text.casefold(), text)
