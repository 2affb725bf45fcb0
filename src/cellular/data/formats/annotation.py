"""One annotated cell, and what is to be said of those that could not be read."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from cellular.data.masks.combine import LabelCanvas
from cellular.errors import CellularError
from cellular.labels.cells import CellMask
from cellular.labels.checks import as_labels

DEFAULT_CLASS = "cell"


@dataclass(frozen=True)
class Annotation:
    """One cell as somebody drew it; cells may overlap.

    Attributes
    ----------
    class_name : its class, "cell" where the file has none.
    cell : its pixels.
    source : where in the file it is from.
    drawn : False where the file has only a box, and the pixels are the ellipse inside it.
    label : its number, where the file gives one.
    """

    class_name: str
    cell: CellMask
    source: str
    drawn: bool = True
    label: int | None = None


@dataclass
class Remarks:
    """What a reader has to say of a file beside its cells.

    Attributes
    ----------
    problems : a sentence for every item that could not be used; it was left out.
    notices : a sentence for what was left out by the format's own rules, or else worth knowing.
    """

    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @contextmanager
    def item(self, source: str, kind: str) -> Iterator[None]:
        """Read one item of many inside this block: whatever is wrong with it, the others are read."""
        try:
            yield
        except CellularError as error:
            text = str(error) if source in str(error) else f"{source}: {error}"
            self.problems.append(f"{text}; left out")
        except Exception as error:  # a damaged item makes a parser raise whatever it spells
            self.problems.append(f"{source} cannot be read as {kind}: {type(error).__name__}: {error}; left out")


def draw(annotations: Iterable[Annotation], shape: tuple[int, int], overlap: str = "last") -> np.ndarray:
    """Label image (Y, X), uint16 or uint32, of the annotations in their order; the i-th gets label i + 1."""
    canvas = LabelCanvas(shape, overlap)
    for annotation in annotations:
        canvas.add(annotation.cell)
    return canvas.labels


def draw_numbered(annotations: list[Annotation], shape: tuple[int, int]) -> np.ndarray:
    """The same with the annotations' own labels, where they are different from each other; a new cell gets the next.

    So the cells of a corrected file keep the numbers that the tables have.
    """
    given = [annotation.label for annotation in annotations if annotation.label]
    if not given or len(set(given)) < len(given) or max(given) > np.iinfo(np.uint32).max - len(annotations):
        return draw(annotations, shape)
    free = iter(range(max(given) + 1, max(given) + 1 + len(annotations)))
    numbers = np.array([0, *(annotation.label or next(free) for annotation in annotations)], np.int64)
    return as_labels(numbers[draw(annotations, shape)])
