"""`cellular download`: the CELLULAR dataset's archives, single fields of it, or model weights."""

from collections.abc import Sequence
from pathlib import Path

from cellular.data.archive.catalogue import WEIGHTS, find_archive, weights_record
from cellular.data.archive.dataset import fetch_archive, fetch_fields
from cellular.data.archive.download import fetch_size_model, fetch_weights
from cellular.errors import SettingsError
from cellular.jobs.shards import parse_shard


def terms(what: str, names: Sequence[str] = ()) -> str:
    """What `what` is, its terms of use and what to cite: to be read before :func:`download`.

    Examples
    --------
    >>> "written permission" in terms("masks")
    True
    """
    if what == "weights":
        records = ((name, weights_record(name)) for name in names or WEIGHTS)
        return "\n".join(f"{name}: {record.licence}\n  Please cite: {record.citation}" for name, record in records)
    record = find_archive(what)
    return f"{record.name}: {record.about}\n{record.terms}\nPlease cite: {record.citation}"


def download(
    what: str,
    out: str | Path = "CELLULAR",
    *,
    names: Sequence[str] = (),
    fields: Sequence[str] = (),
    annotated: bool = False,
    keep_archive: bool = False,
    shard: str | None = None,
) -> list[str]:
    """Fetch an archive into folder `out`, or weights into the cache; :func:`terms` says under which terms.

    What is there already is kept, what is half there is continued.

    Parameters
    ----------
    what : "masks", "images", "experiments" or "weights".
    names : of weights; empty takes all.
    fields, annotated : of "images" only: patterns such as ``*_C03_*``; the fields that have masks.
    keep_archive : keep the zip once unpacked.
    shard : "I/N": of these fields every N-th from the I-th on; each job of an array holds one connection.

    Returns
    -------
    The files of weights, the names of fields, or the folder of an archive.

    Raises
    ------
    SettingsError : options that do not go with `what`.
    DownloadError : cut short, or not what it should be.

    Examples
    --------
    >>> import cellular
    >>> cellular.download("masks", annotated=True)
    Traceback (most recent call last):
    cellular.errors.SettingsError: annotated and fields go with 'images' only, not with 'masks'
    """
    check_options(what, names, fields, annotated, shard)
    if what == "weights":
        files = (file for name in names or WEIGHTS for file in (fetch_weights(name), fetch_size_model(name)))
        return [str(file) for file in files if file]
    if annotated or fields:
        return fetch_fields(out, fields, annotated=annotated, shard=parse_shard(shard) if shard else (1, 1))
    return [str(fetch_archive(what, out, keep_archive=keep_archive))]


def check_options(
    what: str, names: Sequence[str], fields: Sequence[str], annotated: bool, shard: str | None = None
) -> None:
    """SettingsError for options that do not go with `what`."""
    if names and what != "weights":
        raise SettingsError(f"Names ({', '.join(names)}) go with 'weights' only, not with '{what}'")
    if (annotated or fields) and what != "images":
        raise SettingsError(f"annotated and fields go with 'images' only, not with '{what}'")
    if shard and not (annotated or fields):
        raise SettingsError("a shard is one of single fields: give fields or annotated")
    if shard:
        parse_shard(shard)
