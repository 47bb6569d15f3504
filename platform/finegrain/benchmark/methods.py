"""What a benchmark asks of its methods, and what they ask of it: options, shots, words."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

from finegrain.benchmark.grid import Grid
from finegrain.captions import Caption, CaptionStore
from finegrain.detectors import DETECTORS, detector_class, method_options
from finegrain.errors import ConfigError


def reads_text(method: str) -> bool:
    """Whether it needs a backbone with a text tower."""
    kind = detector_class(method)
    return kind.needs_caption or kind.names_object


def checked_options(methods: Sequence[str], given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The options of each method that has any; ConfigError for what a method does not take."""
    by_method = parse_options(given)
    for method in methods:
        options = method_options(method, by_method.get(method, {}))
        detector_class(method).Config.from_options(options)
        by_method |= {method: options} if options else {}
    if odd := [m for m in methods if not re.fullmatch(r"\w+(:[\w+-]+)?", m)]:
        raise ConfigError(
            f"a method is NAME or NAME:VARIANT, of letters, digits, _, + and -; got {odd}"
        )
    if unused := sorted(set(by_method) - set(methods)):
        raise ConfigError(
            f"options are given for {', '.join(unused)}, which is not among --methods"
        )
    return by_method


def parse_options(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """["METHOD.OPTION=VALUE", ...] -> {METHOD: {OPTION: value}}; a value is JSON or plain text.

    An option within an option is METHOD.OUTER.INNER. METHOD may be NAME:VARIANT, the same detector
    with options of its own.
    """
    parsed: dict[str, dict[str, Any]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        method, dot, option = name.partition(".")
        if not (equals and dot and method and option):
            raise ConfigError(
                f"expected METHOD.OPTION=VALUE, for example spade.nearest_patches=3; got {text!r}"
            )
        parsed[method] = with_option(parsed.get(method, {}), option, value)
    return parsed


def with_option(options: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The options with OPTION or OUTER.INNER set; a text is read as JSON where it is."""
    outer, dot, inner = name.partition(".")
    if dot:
        return {**options, outer: with_option(options.get(outer, {}), inner, value)}
    if isinstance(value, str):
        with suppress(json.JSONDecodeError):
            value = json.loads(value)
    return {**options, name: value}


def with_options(options: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The options with each of the dotted ones set."""
    changed = dict(options)
    for name, value in values.items():
        changed = with_option(changed, name, value)
    return changed


def check_shots(methods: Sequence[str], shots: Sequence[int]) -> None:
    """ConfigError for a number of shots that some method can't be fitted on."""
    if bad := [count for count in shots if count < 0]:
        raise ConfigError(f"shots must be 0 or more; got {bad}")
    bound = [method for method in methods if not detector_class(method).zero_shot]
    if 0 in shots and bound:
        able = ", ".join(name for name, kind in DETECTORS.items() if kind.zero_shot)
        raise ConfigError(
            f"{', '.join(bound)} can't be fitted on 0 shots; of all methods {able} can"
        )


def captions_for(
    methods: Sequence[str], grid: Grid, categories: Sequence[str]
) -> dict[str, Caption]:
    """The captions that the methods use.

    ConfigError where one that is needed is missing, unless it will be made from the shots.
    """
    from_photos = grid.captions_from == "photos"
    store = CaptionStore(grid.captions, bundled=not from_photos)
    kinds = [detector_class(method) for method in methods]
    needed = any(kind.needs_caption for kind in kinds)
    if needed and not from_photos:
        return {name: store.get(grid.dataset, name) for name in categories}
    if not (needed or any(kind.names_object for kind in kinds)):
        return {}
    found = {name: store.find(grid.dataset, name) for name in categories}
    return {name: caption for name, caption in found.items() if caption}


def trial_options(
    method: str, options: Mapping[str, Any], category: str, caption: Caption | None
) -> dict[str, Any]:
    """The method's options, and what it needs of its category: caption, or name and defects."""
    kind = detector_class(method)
    if kind.names_object:
        known = {field.name for field in fields(kind.Config)}
        words = _words(category, caption)
        options = {**{name: words[name] for name in words if name in known}, **options}
    if kind.needs_caption and caption:
        options = {**options, "caption": caption.model_dump(mode="json")}
    return dict(options)


def _words(category: str, caption: Caption | None) -> dict[str, Any]:
    """What a category is called and what can be wrong with it, as far as it is known."""
    if caption is None:
        return {"object_name": category.replace("_", " ")}
    return {"object_name": caption.foreground, "defects": list(caption.defects)}
