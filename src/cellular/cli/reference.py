"""docs/verbs.md: every verb with its options, from the parser.

python -m cellular.cli.reference > docs/verbs.md
"""

import argparse
import re
from collections.abc import Iterator
from typing import cast

from cellular.cli.main import VERBS, build_parser

HEAD = """# Every verb and its options

Made from the program itself: `python -m cellular.cli.reference > docs/verbs.md`. Options may be written with `-` for
`_`; all verbs take `--verbose`. Exit codes: 0 all well; 1 done, but something was passed over and named; 2 stopped by
an error; 130 interrupted.
"""


def reference() -> str:
    """The page, as Markdown."""
    return HEAD + "".join(f"\n## {verb}\n{_verb(_parser(verb), summary)}" for verb, summary in VERBS.items())


def _parser(verb: str) -> argparse.ArgumentParser:
    return cast(argparse.ArgumentParser, build_parser(verb)[1])  # None for what is no verb alone


def _verb(parser: argparse.ArgumentParser, summary: str) -> str:
    text = f"\n{summary[0].upper()}{summary[1:]}.\n" + _tables(parser)
    for task, sub in _tasks(parser).items():
        text += f"\n### {parser.prog.split()[-1]} {task}\n" + _tables(sub)
    return text


def _tasks(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    tasks = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(tasks[0].choices) if tasks else {}


def _tables(parser: argparse.ArgumentParser) -> str:
    """A table of the arguments and options, and one a group."""
    general = ("positional arguments", "options")
    first = [action for group in parser._action_groups if group.title in general for action in group._group_actions]
    text = _table(first)
    for group in parser._action_groups:
        if group.title not in general:
            text += f"\n*{group.title}*\n" + _table(group._group_actions)
    return text


def _table(actions: list[argparse.Action]) -> str:
    rows = list(_rows(actions))
    return "\n| option | meaning | default |\n| --- | --- | --- |\n" + "".join(rows) if rows else ""


def _rows(actions: list[argparse.Action]) -> Iterator[str]:
    for action in actions:
        shown = action.help != argparse.SUPPRESS and action.dest != "verbose"
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction) or not shown:
            continue
        names = [name for name in action.option_strings if "-" not in name[2:]]
        called = ", ".join(f"`{name}`" for name in names) or f"`{action.metavar or action.dest.upper()}`"
        meaning = action.help or ""
        if action.choices:
            meaning += f" ({', '.join(map(str, action.choices))})"
        yield f"| {called} | {_cell(meaning)} | {_cell(_default(action))} |\n"


def _default(action: argparse.Action) -> str:
    if action.required and action.nargs != "*":
        return "needed"
    if action.nargs == 0 or action.default in (None, [], ()):
        return ""
    several = isinstance(action.default, list | tuple)
    return " ".join(map(str, action.default)) if several else str(action.default)


def _cell(text: str) -> str:
    """Text for a table's cell: file names with `<field>` in them as code."""
    return re.sub(r"(<\w+>[\w.]*)", r"`\1`", text.replace("%%", "%").replace("|", "\\|"))


if __name__ == "__main__":
    print(reference(), end="")
