"""Sentences about scenes, at component, foreground and image level, in many words and forms.

Every function takes a seeded generator: the same seed and other facts give the same sentence with
other values, which is how a hard negative (one attribute swapped) is made.
"""

from dataclasses import replace

import numpy as np

from finegrain.pretraining.claims import Claim, Statement
from finegrain.pretraining.facts import Facts, ScenePart
from finegrain.pretraining.vocabulary import (
    CELLS,
    COLOR_WORDS,
    COLORS,
    LOCATION_WORDS,
    MATERIAL_WORDS,
    NOUN_SHAPES,
    NOUNS,
    NUMBER_WORDS,
    SHAPE_WORDS,
    TEXTURE_WORDS,
)

SWAPS: dict[str, tuple[str, ...]] = {
    "color": tuple(COLORS),
    "shape": tuple(SHAPE_WORDS),
    "texture": tuple(TEXTURE_WORDS),
    "number": tuple(NUMBER_WORDS),
    "location": (*CELLS, "corners", "both sides", "scattered"),
    "background": tuple(COLORS),
    "material": tuple(MATERIAL_WORDS),
}
_GROUND_FORMS = (
    "{} {} background", "a {} {} background", "the background is {} {}", "{} {} surface",
    "a photo of a {} {} background", "{} {}",
)  # fmt: skip
_SCENE_FORMS = (
    "{}", "{}", "a scene of {}", "a photo of {}", "an image with {}", "a picture of {}",
    "there are {}",
)  # fmt: skip
_ANY_PART = ScenePart("grey", "", "circular", "smooth", "1", "center")
_SWAP_ODDS = {"location": 3.0, "number": 2.0}  # the hardest to learn
_PREPOSITIONS = ("at the {}", "in the {}", "located at the {}", "on the {}", ", {}")
_SCATTER_FORMS = {"scattered": "{}", "entire image": "over the {}", "corners": "in the {}"}


def pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of the options; always one draw, so that sentences of one seed keep their form."""
    return options[int(rng.random() * len(options))]


def component_caption(
    part: ScenePart, rng: np.random.Generator, *, whole: bool = False
) -> Statement:
    """Colour, texture and shape of one part; now and then also how many there are and where.

    Unless `whole`, each attribute may be left out, but never all of them.
    """
    told = _told(("color", "texture", "shape"), 0.0 if whole else 0.3, rng)
    with_place, with_number = rng.random() < 0.25, rng.random() < 0.25
    told |= ({"location"} if with_place else set()) | ({"number"} if with_number else set())
    return Statement(_component_text(part, told, rng), (_claim(part, told),))


def background_caption(facts: Facts, rng: np.random.Generator, form: str = "") -> Statement:
    """The background's colour, its material, or both; in one of many forms, or in the one given."""
    told = _told(("background", "material"), 0.35, rng)
    color = pick(COLOR_WORDS[facts.background], rng)
    kind = pick(MATERIAL_WORDS[facts.material], rng)
    color, kind = color if "background" in told else "", kind if "material" in told else ""
    form = form or pick(_GROUND_FORMS, rng)
    return Statement(_clean(form.format(kind, color)), (_ground_claim(facts, told),))


def scene_caption(facts: Facts, rng: np.random.Generator) -> Statement:
    """The foreground's parts with their numbers and places, with or without the background."""
    if not facts.parts:
        return background_caption(facts, rng)
    loss = float(rng.choice([0.0, 0.25, 0.6]))
    clauses, claims = [], []
    order = rng.permutation(len(facts.parts))
    for index in order[: len(order) if rng.random() < 0.75 else 1]:
        part = facts.parts[index]
        told = _told(("color", "texture", "shape", "number", "location"), loss, rng)
        clauses.append(_component_text(part, told, rng))
        claims.append(_claim(part, told))
    text = pick((" and ", ", ", ", and "), rng).join(clauses)
    text = pick(_SCENE_FORMS, rng).format(text)
    with_ground = rng.random() < 0.5
    ground = background_caption(facts, rng, "{} {} background")
    if with_ground:
        text += f" {pick(('on a', 'against a', ','), rng)} {ground.text}"
        claims += ground.claims
    return Statement(_clean(text), tuple(claims))


def quiz(name: str, rng: np.random.Generator) -> list[Statement]:
    """One short sentence for each value of an attribute, all of the same form."""
    seed = int(rng.integers(2**31))
    statements = []
    for value in SWAPS[name]:
        form = np.random.default_rng(seed)
        if name in ("background", "material"):
            facts = replace(Facts((), "grey", "plain"), **{name: value})  # type: ignore[arg-type]
            color = pick(COLOR_WORDS[value], rng) if name == "background" else ""
            kind = pick(MATERIAL_WORDS[value], rng) if name == "material" else ""
            text = _clean(pick(_GROUND_FORMS, form).format(kind, color))
            statements.append(Statement(text, (_ground_claim(facts, {name}),)))
        else:
            part = replace(_ANY_PART, **{name: value})  # type: ignore[arg-type]
            text = _component_text(part, {name}, form)
            statements.append(Statement(text, (_claim(part, {name}),)))
    return statements


def misplaced(facts: Facts, count: int, rng: np.random.Generator) -> list[Statement] | None:
    """A sentence that tells all of one part, and the same with `count` wrong places.

    The places of the scene's other parts come first: they are the hard ones. None where no part
    is at one of the nine places, or the scene shows a single kind of part.
    """
    placed = [part for part in facts.parts if part.location in CELLS]
    if not placed or len(facts.parts) < 2:
        return None
    part = placed[int(rng.integers(len(placed)))]
    taken = [p.location for p in facts.parts if p.location in CELLS and p.location != part.location]
    free = [CELLS[i] for i in rng.permutation(len(CELLS)) if CELLS[i] != part.location]
    wrong = list(dict.fromkeys([*taken, *free]))[:count]
    told, seed = {"color", "texture", "shape", "number", "location"}, int(rng.integers(2**31))
    said = [part, *(replace(part, location=place) for place in wrong)]
    return [
        Statement(_component_text(p, told, np.random.default_rng(seed)), (_claim(p, told),))
        for p in said
    ]


def swapped(statement: Statement, facts: Facts, seed: int) -> Statement | None:
    """The scene caption of that seed with one value changed to another; None if none is told.

    `statement` must be `scene_caption(facts, default_rng(seed))`.
    """
    rng = np.random.default_rng([seed, 1])
    told = [(claim, name) for claim in statement.claims for name, _ in claim.values]
    told = [(claim, name) for claim, name in told if name in SWAPS]
    if not told:
        return None
    odds = np.array([_SWAP_ODDS.get(name, 1.0) for _, name in told])
    claim, name = told[int(rng.choice(len(told), p=odds / odds.sum()))]
    old = dict(claim.values)[name]
    others = [value for value in SWAPS[name] if value != old]
    value = others[int(rng.integers(len(others)))]
    if claim.ground:
        changed = replace(facts, **{name: value})  # type: ignore[arg-type]
    else:
        index = next(i for i, part in enumerate(facts.parts) if claim.of_part(part))
        parts = list(facts.parts)
        parts[index] = with_value(parts[index], name, value)
        changed = replace(facts, parts=tuple(parts))
    return scene_caption(changed, np.random.default_rng(seed))


def with_value(part: ScenePart, name: str, value: str) -> ScenePart:
    """The part with one attribute changed, and no shade if it is the colour."""
    changed = replace(part, **{name: value})  # type: ignore[arg-type]
    return replace(changed, shade="") if name == "color" else changed


def _told(fields: tuple[str, ...], loss: float, rng: np.random.Generator) -> set[str]:
    draws = rng.random(len(fields))
    kept = {name for name, draw in zip(fields, draws, strict=True) if draw >= loss}
    return kept or {fields[int(np.argmax(draws))]}


def _claim(part: ScenePart, told: set[str]) -> Claim:
    values = [(name, str(getattr(part, name))) for name in sorted(told)]
    if "color" in told and part.shade:
        values.append(("shade", part.shade))
    return Claim(tuple(values))


def _ground_claim(facts: Facts, told: set[str]) -> Claim:
    return Claim(tuple((name, str(getattr(facts, name))) for name in sorted(told)), ground=True)


def _component_text(part: ScenePart, told: set[str], rng: np.random.Generator) -> str:
    """One noun phrase or short sentence that tells the chosen attributes."""
    word = pick(COLOR_WORDS[part.color], rng)
    color = (f"{part.shade} {part.color}" if part.shade else word) if "color" in told else ""
    texture = pick(TEXTURE_WORDS[part.texture], rng) if "texture" in told else ""
    shape = pick(SHAPE_WORDS[part.shape], rng) if "shape" in told else ""
    noun = pick(NOUNS, rng)
    count = pick(NUMBER_WORDS[part.number], rng) if "number" in told else ""
    place = _place_text(part.location, rng) if "location" in told else ""
    many = bool(count) and part.number != "1"
    if shape in NOUN_SHAPES:
        noun, shape = shape, ""
    form = int(rng.random() * 5)
    noun = f"{noun}s" if many and not noun.endswith("s") else noun
    lead = count or ("the" if form == 3 else "a")
    if form == 0 and texture:
        text = f"{lead} {color} {shape} {noun} with {texture} texture {place}"
    elif form == 1 and (color.strip() or texture or shape):
        verb = "are" if many else "is"
        values = " and ".join(word.strip() for word in (color, texture, shape) if word.strip())
        text = f"{lead} {noun} {place} {verb} {values}"
    elif form == 2:
        text = f"{lead} {texture} {color} {shape} {noun} {place}"
    elif form == 3:
        commas = ", ".join(w.strip() for w in (color, shape, texture) if w.strip())
        text = f"{lead} {commas} {noun} {place}"
    else:
        text = f"{lead} {color} {texture} {shape} {noun} {place}"
    return _clean(text)


def _place_text(location: str, rng: np.random.Generator) -> str:
    word, form = pick(LOCATION_WORDS[location], rng), pick(_PREPOSITIONS, rng)
    if location in ("scattered", "entire image", "corners"):
        form = _SCATTER_FORMS[location]
    if location == "both sides":
        form = "on {}"
    return form.format(word)


def _clean(text: str) -> str:
    text = " ".join(text.split()).replace(" ,", ",")
    for vowel in "aeio":
        text = f" {text}".replace(f" a {vowel}", f" an {vowel}")[1:]
    return text.replace(" a one ", " one ")
