"""`--config FILE`: the options of a verb in a TOML or YAML file, by their names; what was used is written as TOML."""

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cellular.cli.engines import OPTIONS
from cellular.errors import InputError, MissingInputError, SettingsError
from cellular.settings import parse_toml

# What names this run, or is about it alone, and not how it is done.
_OUTPUTS = ("out", "output_dir")
NOT_SETTINGS = ("help", "config", "dry_run", "verbose", "verb", "task", "resume", "force", *_OUTPUTS, *OPTIONS)
YAML = (".yaml", ".yml")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Declare ``--config``, of each task where a verb has several."""
    for each in _tasks(parser).values() or [parser]:
        each.add_argument(
            "--config", metavar="FILE", help="options from a TOML or YAML file, by their names; flags overrule it"
        )


def _tasks(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next((a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})


def parse_with_config(
    parser: argparse.ArgumentParser, sub: argparse.ArgumentParser | None, argv: Sequence[str]
) -> argparse.Namespace:
    """The arguments of `argv`; where it names a file of options, those are taken for what `argv` does not give.

    Raises SettingsError, naming file and key, for a key or section that is not known and a value that does not fit.
    """
    tasks = _tasks(sub) if sub else {}
    sub = next((tasks[word] for word in argv if word in tasks), sub)
    if sub and "--config" in sub._option_string_actions and (file := _config_of(argv)):
        _take(sub, read_config(sub, file), argv, file)
    args = parser.parse_args(argv)
    if sub and hasattr(args, "config"):
        args.config_text = config_text(sub, args)
    return args


def _config_of(argv: Sequence[str]) -> str | None:
    """The file that `argv` names, before all that it needs is known to be there."""
    alone = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    alone.add_argument("--config", nargs="?")
    return alone.parse_known_args(argv)[0].config


def _take(parser: argparse.ArgumentParser, values: dict[str, Any], argv: Sequence[str], path: str) -> None:
    """Make `values` the defaults; they serve where an option is needed, and give way where `argv` has its rival."""
    for group in parser._mutually_exclusive_groups:
        given = [action for action in group._group_actions if action.dest in values]
        if len(given) > 1:
            raise SettingsError(f"{path}: give one of {' and '.join(action.dest for action in given)}")
        flags = {flag for action in group._group_actions for flag in action.option_strings}
        if any(word.partition("=")[0] in flags for word in argv):
            for action in given:
                del values[action.dest]
        elif given:
            group.required = False
    parser.set_defaults(**values)
    for action in parser._actions:
        action.required = action.required and action.dest not in values


def keep_config(args: argparse.Namespace) -> None:
    """Write what was used as ``<verb>.toml`` into the folder of the results; `analyse` does it itself."""
    out = next((Path(value) for name in _OUTPUTS if (value := getattr(args, name, None))), None)
    if args.verb == "train":
        out = Path(args.experiments_dir) / args.experiment_name
    kept = hasattr(args, "config_text") and args.verb != "analyse" and not getattr(args, "dry_run", False)
    if kept and out is not None and out.is_dir():
        from cellular.files import write_text

        write_text(out / f"{args.verb}.toml", args.config_text)


def read_config(parser: argparse.ArgumentParser, path: str | Path) -> dict[str, Any]:
    """Values by option of `parser` from a file: keys stand at the top, or in the section of their group in the help."""
    known = {action.dest: (section, action) for section, action in _options(parser)}
    values: dict[str, Any] = {}
    for section, key, value in _entries(_read(path), {section for section, _ in known.values()}, path):
        if key not in known:
            raise SettingsError(f"{path}: unknown option '{key}'{_nearest(key, known)}")
        own, action = known[key]
        if section not in ("", own):
            raise SettingsError(f"{path}: option '{key}' stands in [{section}]; it belongs to [{own}], or to the top")
        if key in values:
            raise SettingsError(f"{path}: option '{key}' is given twice")
        values[key] = _value(action, value, path)
    return values


def config_text(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """Every option of `parser` with its value in `args`, as TOML; what is left to the program is a comment."""
    lines = [f"# Options of `{parser.prog}`; give this file to --config for the same again."]
    last = ""
    for section, action in _options(parser):
        if section != last:
            lines += ["", f"[{section if re.fullmatch('[A-Za-z0-9_-]+', section) else json.dumps(section)}]"]
            last = section
        value = getattr(args, action.dest)
        value = list(value) if isinstance(value, tuple) else value
        told = f"{action.dest} = {json.dumps(value, ensure_ascii=False)}"
        lines.append(f"# {action.dest} is not given" if value is None else told)
    return "\n".join(lines) + "\n"


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Section and action of each option that can be set; those of no group first, as TOML wants it."""
    for group in parser._action_groups:  # argparse has no other way to ask
        section = "" if group.title in (None, "options", "positional arguments") else group.title
        for action in group._group_actions:
            if action.option_strings and action.dest not in NOT_SETTINGS:
                yield section, action


def _read(path: str | Path) -> dict[str, Any]:
    parse, kind = (_yaml, "YAML") if Path(path).suffix.lower() in YAML else (parse_toml, "TOML")
    try:
        return parse(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise MissingInputError(f"No such file: {path}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # UnicodeDecodeError too
        raise InputError(f"{path} is not valid {kind}: {error}") from error


def _yaml(text: str) -> dict[str, Any]:
    """A mapping; raises ValueError for anything else and for a key that stands twice, which YAML's readers let pass."""
    import yaml

    class Once(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            if twice := next((key for key in keys if keys.count(key) > 1), None):
                raise ValueError(f"'{twice}' is given twice")
            if words := [key for key in keys if not isinstance(key, str)]:
                raise ValueError(f"the key {words[0]!r} is no word; put it in quotes")
            return super().construct_mapping(node, deep)

    try:
        content = yaml.load(text, Once)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if content is not None and not isinstance(content, dict):
        raise ValueError("it holds no options, as in 'diameter: 40'")
    return content or {}


def _entries(content: Mapping[str, Any], sections: set[str], path: str | Path) -> Iterator[tuple[str, str, Any]]:
    """Section, key (with ``_`` for ``-``) and value of all that is in the file."""
    for key, value in content.items():
        if not isinstance(value, dict):
            yield "", key.replace("-", "_"), value
            continue
        if key not in sections - {""}:
            raise SettingsError(f"{path}: unknown section [{key}]{_nearest(key, sections - {''})}")
        for name, inner in value.items():
            yield key, name.replace("-", "_"), inner


def _nearest(word: str, known: Sequence[str] | Mapping[str, Any] | set[str]) -> str:
    near = get_close_matches(word, known, 1)
    return f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(sorted(known))}"


def _value(action: argparse.Action, value: Any, path: str | Path) -> Any:
    """The value as the option would parse it."""
    what = f"{path}: option '{action.dest}'"
    if action.nargs == 0:  # a switch
        if not isinstance(value, bool):
            raise SettingsError(f"{what} is true or false, not {value!r}")
        return value
    several = action.nargs in ("+", "*")
    if isinstance(value, dict) or several != isinstance(value, list):
        raise SettingsError(f"{what} takes {'a list' if several else 'one value'}, not {value!r}")
    words = [str(word) for word in (value if several else [value])]
    parse = action.type if callable(action.type) else str  # none of ours is a name that argparse looks up
    try:
        parsed = [parse(word) for word in words]
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise SettingsError(f"{what}: {value!r} does not fit ({error})") from error
    if action.choices and (wrong := [one for one in parsed if one not in action.choices]):
        raise SettingsError(f"{what} is one of {', '.join(map(str, action.choices))}, not {wrong[0]!r}")
    return parsed if several else parsed[0]
