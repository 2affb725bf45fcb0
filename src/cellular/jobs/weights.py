"""`cellular weights`: the models that are on this machine, the ones that could be, and where from."""

from cellular.segment.model.registry import list_models


def weights() -> list[dict[str, str | None]]:
    """A row for every model that can be named: ``name, path, url, licence, sha256``; path is None where it is not here.

    Examples
    --------
    >>> import cellular
    >>> [row["name"] for row in cellular.weights()][:2]
    ['starter', 'nuclei']
    """
    return list_models()
