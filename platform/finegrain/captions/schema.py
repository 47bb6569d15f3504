"""The record of one category: image, foreground and component level, and the known defects.

A sentence says the values of its attributes literally, so that prompts can replace them.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from finegrain.captions.vocabulary import ATTRIBUTES, VOCABULARY, find_value, unknown_values

Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=600)]
MAX_COMPONENTS = 8


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Component(_Record):
    """One kind of component: its attributes, and a sentence that says all of them.

    An attribute that nobody is sure of is left out: better unsaid than guessed.
    """

    name: Phrase
    number: Phrase | None = None
    location: Phrase | None = None
    direction: Phrase | None = None
    color: Phrase | None = None
    texture: Phrase | None = None
    shape: Phrase | None = None
    caption: Sentence

    @model_validator(mode="after")
    def _check(self) -> Self:
        for attribute, value in self.attributes.items():
            if unknown := unknown_values(attribute, value):
                raise ValueError(
                    f"{self.name}: {attribute} {unknown[0]!r} is not in the list: "
                    f"{', '.join(VOCABULARY[attribute])}; join values with and, or, with"
                )
            if attribute == "number" and value not in VOCABULARY["number"]:
                raise ValueError(f"{self.name}: number must be a single value; got {value!r}")
            if find_value(self.caption, attribute, value) is None:
                raise ValueError(
                    f"{self.name}: the caption must say the {attribute} {value!r} word for word; "
                    f"got {self.caption!r}"
                )
        if self.name.lower() not in self.caption.lower():
            raise ValueError(f"the caption must name the {self.name!r}; got {self.caption!r}")
        return self

    @property
    def attributes(self) -> dict[str, str]:
        """Attribute -> value, in the order of the vocabulary; without those left out."""
        found = {name: getattr(self, name) for name in ATTRIBUTES}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def told(self) -> dict[str, str]:
        """The attributes, and the direction where there is one."""
        return self.attributes | ({"direction": self.direction} if self.direction else {})


class Provenance(_Record):
    """Where a caption comes from."""

    source: Literal["template", "llm", "hand", "photos"]
    facts: Literal["published", "unverified", "generator"] | None = None  # behind a template
    model: str | None = None
    prompt_version: str | None = None
    image_sha256: str | None = None
    shots_sha256: tuple[str, ...] = Field(default=(), exclude_if=lambda shots: not shots)


class Caption(_Record):
    """The three levels of one category.

    Args:
        dataset: with `category`, the key under which it is found.
        foreground: the product's name.
        background: what lies behind it; None where the product fills the image.
        summary: image level, a sentence with all attributes.
        logical_relation: foreground level, how many components there are and how they lie.
        components: component level, the most important first.
        defects: noun phrases.
    """

    dataset: Phrase
    category: Phrase
    foreground: Phrase
    background: Phrase | None
    summary: Sentence
    logical_relation: Sentence
    components: Annotated[tuple[Component, ...], Field(min_length=1, max_length=MAX_COMPONENTS)]
    defects: Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=30)]
    provenance: Provenance

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.defects)) < len(self.defects):
            raise ValueError("a defect is named twice")
        return self

    @property
    def key(self) -> str:
        """DATASET/CATEGORY."""
        return f"{self.dataset}/{self.category}"
