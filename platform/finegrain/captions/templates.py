"""From attribute facts to a caption, by fixed sentence forms and without a model.

Facts are `{"foreground", "background", "components": [{"name", "number", "location", "direction",
"color": [...], "texture": [...], "shape": [...]}], "defects": [...]}`. None and empty
lists are not said.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from finegrain.captions.schema import Caption, Component, Provenance
from finegrain.captions.vocabulary import words_for
from finegrain.errors import ConfigError

_PLACES = {
    "both sides": "on both sides",
    "corners": "in the corners",
    "entire image": "over the entire image",
    "evenly distributed": "evenly distributed",
    "scattered": "scattered",
    "throughout": "throughout the image",
}


def caption_from_facts(
    dataset: str, category: str, facts: Mapping[str, Any], provenance: Provenance
) -> Caption:
    """The caption of those facts; ConfigError says which fact is missing or not in its list."""
    try:
        components = tuple(_component(stated) for stated in facts["components"])
        return Caption(
            dataset=dataset,
            category=category,
            foreground=facts["foreground"],
            background=facts["background"],
            summary=_summary(facts, components),
            logical_relation=_relation(components),
            components=components,
            defects=tuple(facts["defects"]),
            provenance=provenance,
        )
    except KeyError as error:
        raise ConfigError(f"the facts of {dataset}/{category} lack {error}") from error
    except ValidationError as error:
        raise ConfigError(f"the facts of {dataset}/{category} do not hold: {error}") from error


def _component(facts: Mapping[str, Any]) -> Component:
    color, texture, shape = (
        " and ".join(facts[name]) or None for name in ("color", "texture", "shape")
    )
    number, name, location = facts["number"], facts["name"], facts["location"]
    parts = [_count(number), color, texture, shape, name, place(location)]
    if facts["direction"]:
        parts.append(f"in {facts['direction']} direction")
    return Component(
        name=name,
        number=number,
        location=location,
        direction=facts["direction"],
        color=color,
        texture=texture,
        shape=shape,
        caption=_joined(parts),
    )


def place(location: str | None) -> str | None:
    """A location as the end of a sentence."""
    return None if location is None else _PLACES.get(location, f"at the {location}")


def _count(number: str | None) -> str | None:
    return None if number is None else words_for("number", number)[0]


def _joined(parts: Sequence[str | None]) -> str:
    return " ".join(part for part in parts if part)


def _summary(facts: Mapping[str, Any], components: Sequence[Component]) -> str:
    text = f"{facts['foreground']} with {_listed([c.caption for c in components])}"
    background = facts["background"]
    return f"{text} on a {background} background" if background else text


def _relation(components: Sequence[Component]) -> str:
    return _listed([_joined([_count(c.number), c.name, place(c.location)]) for c in components])


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items[:-1]) + " and " + items[-1] if len(items) > 1 else items[0]
