"""What the site's pages take from the code and from each other when they are built.

<!-- options: NAME -->    the options of a detector, or of `serving`, from the classes themselves
<!-- results: METHOD -->  that method's rows of the table in results.md
<!-- vocabulary -->       the closed lists of a caption's attributes
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from textwrap import shorten
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)  # fmt: skip

from pydantic_core import PydanticUndefined

from finegrain.captions.vocabulary import VOCABULARY
from finegrain.detectors import detector_class
from finegrain.serving.config import ServingConfig

RESULTS = Path(__file__).with_name("results.md")
SERVING = "serving"
NEEDED = object()
BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
PLAIN = {bool: "true or false", NoneType: "null", str: "text", int: "whole number",
         float: "number", Path: "folder", dict: "object"}  # fmt: skip


class Option(NamedTuple):
    """A row of a table of options."""

    name: str
    kind: str
    default: str
    meaning: str


def on_page_markdown(markdown: str, **_: Any) -> str:
    """mkdocs calls this for each page."""
    markdown = re.sub(r"<!-- options: (\w+) -->", lambda m: options_table(m[1]), markdown)
    markdown = re.sub(r"<!-- results: (\w+) -->", lambda m: results_table(m[1]), markdown)
    rows = (f"| `{name}` | {', '.join(values)} |" for name, values in VOCABULARY.items())
    return markdown.replace("<!-- vocabulary -->", "\n".join(rows))


def options_table(name: str) -> str:
    """All options of a detector, or of the server, as Markdown."""
    lines = ["| option | type | default | meaning |", "| --- | --- | --- | --- |"]
    rows = (f"| `{o.name}` | {o.kind} | `{o.default}` | {o.meaning} |" for o in options(name))
    return "\n".join([*lines, *rows])


def options(name: str) -> list[Option]:
    """The options in the order of their classes, those within others with a dot."""
    if name == SERVING:
        return list(_of(ServingConfig))
    return list(_of(detector_class(name).Config))


def _of(config: type, prefix: str = "") -> Iterator[Option]:
    """The fields of a class in its own order, with those of a field that is a class itself."""
    said, hints = _said(config), get_type_hints(config, include_extras=True)
    for name, (default, made) in _defaults(config).items():
        if is_dataclass(hints[name]):
            yield from _of(hints[name], f"{prefix}{name}.")
        elif made:
            yield Option(prefix + name, words(hints[name]), "computed", made)
        else:
            shown = "needed" if default is NEEDED else shorten(json.dumps(default, default=str), 60)
            yield Option(prefix + name, words(hints[name]), shown, said.get(name, ""))


def _defaults(config: type) -> dict[str, tuple[Any, str]]:
    """Field -> its default, and what computes it where that is a function of ours.

    Of a dataclass or a pydantic model; the default is NEEDED where the user must give one.
    """
    if is_dataclass(config):
        found = {field.name: field for field in fields(config)}
    else:
        found = config.model_fields  # type: ignore[attr-defined]
    defaults = {}
    for name, field in found.items():
        make = field.default_factory
        missing = field.default in (MISSING, PydanticUndefined)
        default = make() if callable(make) else NEEDED if missing else field.default
        defaults[name] = default, _first_line(make) if inspect.isfunction(make) else ""
    return defaults


def _first_line(made: object) -> str:
    return (inspect.getdoc(made) or "").partition("\n")[0]


def words(kind: Any) -> str:
    """A type as a user reads it: what JSON calls it, and its bounds."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        limits = [limit for part in args[1:] for limit in getattr(part, "metadata", [part])]
        bounds = [
            f"{said} {getattr(limit, name):,}"
            for limit in limits
            for name, said in BOUNDS.items()
            if getattr(limit, name, None) is not None
        ]
        return ", ".join([words(args[0]), *bounds])
    if origin is Literal:
        return ", ".join(f'"{value}"' for value in args)
    if origin in (Union, UnionType):
        return " or ".join(map(words, args))
    if origin is tuple:
        return f"list of {words(args[0])}"
    return PLAIN.get(origin or kind, getattr(kind, "__name__", str(kind)))


def _said(config: type) -> dict[str, str]:
    """Field -> its meaning: the comment behind or above it, or what Args says in the docstring."""
    found: dict[str, str] = {}
    for owner in reversed(config.__mro__):
        if not owner.__module__.startswith("finegrain."):
            continue
        source = textwrap.dedent(inspect.getsource(owner))
        found |= _documented(owner)
        for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                above, *own = source.splitlines()[node.lineno - 2 : node.end_lineno]
                comments = [line.partition("  # ")[2] for line in [above.split("=")[0], *own]]
                if comment := "".join(comments):
                    found[node.target.id] = comment
    return found


def _documented(owner: type) -> dict[str, str]:
    """What the class's docstring says of its fields under Args."""
    _, _, args = (inspect.getdoc(owner) or "").partition("Args:\n")
    found = {}
    for names, text in re.findall(r"^    ([\w, ]+): (.*(?:\n      .*)*)", args, re.MULTILINE):
        for name in names.split(", "):
            found[name] = re.sub(r"\s+", " ", text)
    return found


def results_table(method: str) -> str:
    """The rows of that method in results.md, under the table's own head."""
    lines = [line for line in RESULTS.read_text().splitlines() if line.startswith("|")]
    rows = [line for line in lines if line.split("|")[1].strip() == method]
    if not rows:
        raise ValueError(f"{RESULTS} has no row of {method}")
    return "\n".join([*lines[:2], *rows])
