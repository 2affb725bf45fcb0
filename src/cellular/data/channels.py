"""What a channel shows: its role, from the names that makers and people give to dyes, filters and proteins."""

import difflib
import re
from collections.abc import Sequence

from cellular.errors import SettingsError

# The roles besides marker:NAME. A position (first plane, w1, ch2) never gives one.
ROLES = ("mRFP", "EGFP", "DNA", "transmitted")
MARKER = "marker:"

# Proteins, DNA stains and kinds of transmitted light say what a channel shows, whatever stands beside them.
_SHOWS = {
    "mRFP": r"(?:m|tag)*rfp\d?|m?cherry\d?|(?:td)?tomato|ds-?red\d?|m?scarlet|m?kate2?|m?ruby\d?"
    r"|m?apple|m?strawberry",
    "EGFP": r"(?:m|e|me|sf|ac|super)?gfp|m?neon ?green|m?clover\d?|m?wasabi|phluorin|zs-?green|m?emerald",
    "DNA": r"dapi|hoechst|ho?echst|\bdna\b|draq ?5|nuclei|\bnucleus\b|nucblue|histone|\bh2b\b|sir-?dna|spy-?dna\w*",
    "transmitted": r"bright ?-?field|\bbf\b|\btl\b|\bdic\b|\bphase\b|\bphc\b|\bph[123]?\b|\bdpc\b|transmi\w+|\btrans\b"
    r"|transmitted ?light|\btd\b|t-?pmt|\besid\b|\bnomarski\b|\boblique\b",
}
_ALEXA = r"(?:alexa(?:[ -]?fluor)?[ -]?|\baf[ -]?|\ba)"
# Dyes and filters named after them: they are the reporter's light only where nothing else is named (a filter's name);
# 'LAMP1 Alexa 488' is a stain.
_FILTERS = {
    "mRFP": r"texas ?-?red|tx ?-?red|tritc|rhoda\w*|cy ?-?3(?:\.5)?|" + _ALEXA + "(?:546|555|568|594)",
    "EGFP": r"fitc|fluorescein|cy ?-?2\b|" + _ALEXA + "488",
    "far red": r"far ?-?red|\bnir\b|\bsir\b|cy ?-?(?:5(?:\.5)?|7)|" + _ALEXA + "(?:633|647|660|680|700|750)",
}
# Words and numbers that tell one channel from another, not what it shows.
_BARE = re.compile(
    r"channels?|chan|ch|camera|cam|hyd|pmt|\bt\d\b|\bwf\b|wave(?:length)?|wv|filter|confocal|widefield|fluorescence|fluor|laser|led|nm|ex|em"
    r"|plane|image|img|blue|green|red|yellow|orange|cyan|magenta|gr[ea]y|white|uv|\d+|\b[a-z]\b|_|\W"
)
_TOKEN = re.compile(r"(?:w|c|ch|channel|wave|wv)[ -]?\d{1,3}", re.IGNORECASE)
_READ = re.compile(r" \((?:job|step|pass) [-\d.]+\)$")  # which of several reads of a channel it is
_COLOURS = {"blue", "green", "red", "yellow", "orange", "cyan", "magenta", "gray", "grey"}


def role_of(name: str) -> str | None:
    """The role that a channel's name gives, or None where the name says nothing or says two things.

    Parameters
    ----------
    name : a channel as a microscope, a file or a person names it, e.g. ``TexasRed - TexasRed``, ``HOECHST 33342``.

    Returns
    -------
    str or None
        One of :data:`ROLES`; ``marker:NAME`` for any other real name; None for bare tokens (``w1``, ``ch2``, ``C0``,
        ``D``, ``channel 1``, ``488``, ``green``) and for names of two roles (``mRFP-GFP-LC3``).

    >>> role_of("FITC - FITC"), role_of("HOECHST 33342"), role_of("LAMP1"), role_of("w1")
    ('EGFP', 'DNA', 'marker:LAMP1', None)
    """
    text = " ".join(name.replace("_", " ").split())
    text = _READ.sub("", text)
    if _TOKEN.fullmatch(text) or re.fullmatch(r"d\d", text):  # d2: ArrayScan's
        return None
    lower = text.lower()
    if lower.startswith(MARKER):
        return MARKER + text[len(MARKER) :].strip() if text[len(MARKER) :].strip() else None
    named, rest = _found(_SHOWS, lower)
    filters, rest = _found(_FILTERS, rest)
    other = _BARE.sub("", rest)
    if "transmitted" in named:
        return "transmitted"  # "TL-Brightfield - dsRed": the lamp, through the filter that happened to be in
    if len(named | filters) > 1:
        return None
    if named:
        return named.pop()
    if filters and not other and filters != {"far red"}:
        return filters.pop()
    return MARKER + text if other or filters else None


def _found(patterns: dict[str, str], text: str) -> tuple[set[str], str]:
    """Roles whose patterns `text` has, and what is left of it."""
    roles = {role for role, pattern in patterns.items() if re.search(pattern, text)}
    for role in roles:
        text = re.sub(patterns[role], " ", text)
    return roles, text


def is_channel_word(text: str) -> bool:
    """Whether an ending of a file's name can only be a channel: ``w2``, ``ch00``, ``DAPI``, ``green``, ``Cy5``."""
    words = text.replace("_", " ").strip()
    if _TOKEN.fullmatch(words) or words.lower() in _COLOURS or role_of(words) in ROLES:
        return True
    return bool(re.fullmatch(_FILTERS["far red"], words.lower()))


def parse_channels(values: Sequence[str]) -> dict[str, str]:
    """Read ``--channels``: ``["mRFP=w3", "DNA=DAPI", "marker:LAMP1=w4"]`` to ``{"w3": "mRFP", ...}``.

    Raises
    ------
    SettingsError
        A value is not ROLE=TOKEN, a role is unknown (the nearest is named), a role or a token stands twice.
    """
    tokens: dict[str, str] = {}
    for value in values:
        role, equals, token = value.partition("=")
        role, token = _checked_role(role.strip(), value), token.strip()
        if not equals or not token:
            raise SettingsError(f"--channels {value}: write ROLE=CHANNEL, such as mRFP=w3 or DNA=DAPI")
        if role in tokens.values():
            raise SettingsError(f"--channels names the role {role} twice; one channel has it")
        if token in tokens:
            raise SettingsError(f"--channels gives {token} two roles, {tokens[token]} and {role}; leave one out")
        tokens[token] = role
    return tokens


def _checked_role(role: str, value: str) -> str:
    for known in ROLES:
        if role.lower() == known.lower():
            return known
    if role.lower().startswith(MARKER) and role[len(MARKER) :].strip():
        return MARKER + role[len(MARKER) :].strip()
    read = role_of(role) if role else None
    near = [read] if read in ROLES else difflib.get_close_matches(role, [*ROLES, MARKER + "NAME"], 1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise SettingsError(
        f"--channels {value}: '{role}' is no role{hint} Roles are {', '.join(ROLES)} and marker:NAME, "
        f"written ROLE=CHANNEL, such as mRFP=w3"
    )
