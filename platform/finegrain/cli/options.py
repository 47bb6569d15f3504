"""Options that several commands have; those of a model are made from its fields.

A field that is not given is not in the namespace, so that `given` tells a choice from a default.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from finegrain.benchmark.grid import BackboneChoice, Flag, Grid, Record
from finegrain.cli.command import Parser
from finegrain.errors import ConfigError

OF_BACKBONE = tuple(BackboneChoice.model_fields)


class OneFit(Record):
    """One number of shots and one seed, where a grid has several."""

    number: Annotated[int, Flag(("--shots",), "K")] = Field(
        default=4, description="images that a detector is fitted on"
    )
    seed: int = Field(default=0, description="draws the shots and all randomness")


def model_options(
    model: type[BaseModel],
    *names: str,
    title: str,
    required: Sequence[str] = (),
    defaults: Mapping[str, object] | None = None,
) -> Parser:
    """A parent with an option for each of a model's fields, or for those named.

    Args:
        title: of their group in the help.
        required: fields that have to be given.
        defaults: in place of the model's.
    """
    parent = Parser(add_help=False)
    group, defaults = parent.add_argument_group(title), defaults or {}
    for name in names or model.model_fields:
        field = model.model_fields[name]
        flag = next((found for found in field.metadata if isinstance(found, Flag)), Flag())
        default = defaults.get(name, field.default)
        group.add_argument(
            *(flag.names or [f"--{name.replace('_', '-')}"]),
            dest=name,
            required=name in required,
            default=defaults.get(name, argparse.SUPPRESS),
            help=_help(field, None if name in required else default),
            **_values(field.annotation, flag),
        )
    return parent


def _help(field: FieldInfo, default: object) -> str:
    """The description, with the default where that is a word or several."""
    text = (field.description or "").replace("%", "%%")
    if default is None or default == () or isinstance(default, bool):
        return text
    words = map(str, default) if isinstance(default, tuple) else [str(default)]
    return f"{text} [{' '.join(words)}]".lstrip()


def _values(annotation: Any, flag: Flag) -> dict[str, Any]:
    """What argparse needs to know of a field's values."""
    if get_origin(annotation) in (Union, UnionType):
        [annotation] = [kind for kind in get_args(annotation) if kind is not NoneType]
    many = get_origin(annotation) is tuple
    kind = get_args(annotation)[0] if many else annotation
    if kind is bool:
        return {"action": "store_true"}
    several = ({"action": "append"} if flag.repeated else {"nargs": "+"}) if many else {}
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind), **several}
    return {"type": kind, "metavar": flag.metavar, **several}


def given(args: argparse.Namespace, model: type[BaseModel]) -> dict[str, Any]:
    """The model's fields that were given on the command line."""
    return {name: value for name, value in vars(args).items() if name in model.model_fields}


def grid_options(
    *names: str,
    title: str = "on what",
    required: Sequence[str] = (),
    defaults: Mapping[str, object] | None = None,
) -> Parser:
    """Those of the grid, or of some of its fields."""
    return model_options(Grid, *names, title=title, required=required, defaults=defaults)


def share_options() -> Parser:
    """--cpus-per-trial and --gpus-per-trial."""
    parent = Parser(add_help=False)
    add = parent.add_argument_group("what each trial gets of the cluster").add_argument
    add("--cpus-per-trial", type=float, default=1.0, help="[1]")
    add("--gpus-per-trial", type=float, default=0.0, help="may be a fraction [0]")
    return parent


def output_option(text: str) -> Parser:
    """--output, with what its help says of it."""
    parent = Parser(add_help=False)
    parent.add_argument_group("where").add_argument("--output", type=Path, metavar="DIR", help=text)
    return parent


def resume_option() -> Parser:
    """--resume."""
    parent = Parser(add_help=False)
    parent.add_argument_group("where").add_argument(
        "--resume", metavar="NAME", help="run what is missing of runs/NAME or of the folder NAME"
    )
    return parent


def tracking_option(place: str = "in the folder of runs") -> Parser:
    """--tracking-uri; its default is `places.tracking_uri`."""
    parent = Parser(add_help=False)
    parent.add_argument_group("where").add_argument(
        "--tracking-uri", dest="uri", metavar="URI",
        help=f"of MLflow [$MLFLOW_TRACKING_URI, else mlflow.db {place}]",
    )  # fmt: skip
    return parent


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """["NAME=VALUE", ...] -> {NAME: VALUE}; ConfigError says what was expected."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ConfigError(f"{option} takes NAME=VALUE; got {text!r}")
        found[name] = value
    return found
