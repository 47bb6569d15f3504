"""What a caption claims, and of which parts and scenes the claim is true.

Truth, not identity, makes a pair positive: "a red part" is right for every red part of a batch, so
repeats and short captions never count as wrong answers.
"""

from dataclasses import dataclass

from finegrain.pretraining.facts import Facts, ScenePart

VISIBLE = ("color", "shade", "shape", "texture")  # what the pixels of a part alone can show


@dataclass(frozen=True)
class Claim:
    """Values said of one part (`ground` False) or of the background (`ground` True)."""

    values: tuple[tuple[str, str], ...]
    ground: bool = False

    def of_part(self, part: ScenePart, fields: tuple[str, ...] | None = None) -> bool:
        """Whether it is true of the part, judged by those fields only (all of them if None)."""
        return not self.ground and all(
            getattr(part, name) == value
            for name, value in self.values
            if fields is None or name in fields
        )

    def of_ground(self, facts: Facts) -> bool:
        """Whether it is true of the background."""
        return self.ground and all(getattr(facts, name) == value for name, value in self.values)


@dataclass(frozen=True)
class Statement:
    """A caption with its claims; true of a scene if each holds for some part or the background."""

    text: str
    claims: tuple[Claim, ...]

    def of_scene(self, facts: Facts) -> bool:
        """Whether every claim holds somewhere in the scene."""
        return all(
            claim.of_ground(facts) if claim.ground else any(map(claim.of_part, facts.parts))
            for claim in self.claims
        )
