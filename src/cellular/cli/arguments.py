"""Argument types that several verbs share."""

import argparse


def boolean(text: str) -> bool:
    """Parse true/false, yes/no, on/off or 1/0, so that a boolean can be false (in the published scripts it cannot)."""
    value = text.strip().lower()
    if value in ("true", "yes", "on", "1"):
        return True
    if value in ("false", "no", "off", "0"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")


def diameter(text: str) -> float | str:
    """Parse a cell diameter: a number of px, or "auto"."""
    if text.strip().lower() == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number of px or auto, got {text!r}") from None
