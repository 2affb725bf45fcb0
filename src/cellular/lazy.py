"""Names that are imported when they are first asked for, and rooms that are called like the job of their name."""

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

ROOMS = ("evaluate", "report", "segment", "simulate", "track", "train")


def attach(module: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of the package `module` (PEP 562).

    Parameters
    ----------
    names : what it offers -> the module that holds it, or ``module:name`` where it is called otherwise there. A name
        that is also a folder of the package stands for that folder, see :class:`Room`.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        where, _, called = names[name].partition(":")
        if name in ROOMS and module == "cellular":
            return importlib.import_module(f"{module}.{name}")
        value = getattr(importlib.import_module(where), called or name)
        sys.modules[module].__dict__[name] = value
        return value

    return get, lambda: sorted({*vars(sys.modules[module]), *names})


class Room(ModuleType):
    """A folder of a stage's modules that is also the job of its name: ``cellular.segment(plate, out)``.

    Python keeps an imported folder as an attribute of the package, where the function would be. So both are one.
    """

    @property
    def job(self) -> Callable[..., Any]:
        """The function of the same name in ``cellular.jobs``."""
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(f"cellular.jobs.{name}"), name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Do the job; see :attr:`job` for what it takes."""
        return self.job(*args, **options)

    @property
    def __signature__(self) -> Any:
        import inspect  # slow to import, and only help asks

        return inspect.signature(self.job)


def callable_room(name: str) -> None:
    """Make the room `name` callable; the rest of it stays as it is."""
    sys.modules[name].__class__ = Room
