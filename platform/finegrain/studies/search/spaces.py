"""Search spaces, a function for each detector: its options and the ranges that are worth trying.

`finegrain search --space NAME` takes a function from here, `--space FILE.py:NAME` your own. A key
is an option as `--set METHOD.OPTION=VALUE` has it; a text value is read as JSON where it is.
training.epochs is not among them: the scheduler decides how long each setting learns.
"""

from typing import Any

from ray import tune

Space = dict[str, Any]  # option -> its domain

FEATURES: Space = {  # which tokens are compared
    "features": tune.choice(["levels", "joint"]),
    "levels": tune.choice(["[0]", "[1]", "null"]),  # of a backbone with two; null: all
}


def finegrained() -> Space:
    """What figure 7 of the paper varies, and what decides the two maps and their fusion."""
    return {
        "training.learning_rate": tune.loguniform(2e-4, 2e-2),  # the paper's: 2e-3
        "prompts.context": tune.choice([2, 4, 8]),  # learnable vectors before a sentence
        "prompts.learnable": tune.randint(1, 7),  # ALPs a unit
        "losses.margin": tune.uniform(0.0, 2.0),  # of L_triplet
        "losses.eta": tune.uniform(0.5, 2.0),  # η of L_mean
        "losses.mean": tune.loguniform(1e-3, 20.0),  # λ; the paper's: 0.001
        "losses.regularization": tune.choice([0.0, 0.1, 1.0]),
        "regions.weight": tune.uniform(0.0, 2.5),  # added to 1 on a unit's own region
        "scoring.temperature": tune.loguniform(5.0, 100.0),  # T of the map
        "scoring.reweighting": tune.choice([True, False]),  # Eq. 6, 7
        "scoring.fusion": tune.choice(["weighted", "harmonic", "visual"]),
        "scoring.matching": tune.choice(["prompt", "query"]),
        "memory.radius": tune.choice(["0.07", "0.14", "0.27", "null"]),  # in sides; null: anywhere
        "memory.joint": tune.choice([True, False]),  # the joint space as one more level
    }


def promptad() -> Space:
    """The prompts' sizes, the margin and the temperature that its two branches learn at."""
    return {
        "training.learning_rate": tune.loguniform(2e-4, 2e-2),
        "prefix": tune.choice([2, 4, 8]),
        "suffix": tune.randint(1, 4),
        "normal": tune.randint(1, 4),
        "learnable": tune.randint(1, 7),
        "margin": tune.uniform(0.0, 1.0),
        "alignment": tune.loguniform(1e-4, 1.0),  # λ
        "temperature": tune.loguniform(2.0, 100.0),
    }


def winclip() -> Space:
    """Sizes of the windows, in patches, and the temperature of the two states."""
    return {
        "scales": tune.choice(["[2]", "[3]", "[2, 3]", "[2, 3, 5]"]),
        "temperature": tune.loguniform(5.0, 200.0),
    }


def patchcore() -> Space:
    """What is remembered, and how much of its surroundings counts."""
    return {
        **FEATURES,
        "neighbourhood": tune.choice([1, 3, 5, 7]),
        "reweighting_neighbours": tune.choice([1, 3, 9]),
        "max_memory": tune.choice([250, 1000, 4000]),
    }


def padim() -> Space:
    """Width and stiffness of the Gaussians."""
    return {
        **FEATURES,
        "dimensions": tune.choice([50, 100, 200]),
        "epsilon": tune.loguniform(1e-4, 1.0),
    }


def spade() -> Space:
    """How many neighbours count."""
    return {
        **FEATURES,
        "retrieved_shots": tune.choice([1, 2, 4]),
        "nearest_patches": tune.choice([1, 3, 5]),
    }


def subspacead() -> Space:
    """Size of the subspace, and what it is fitted on."""
    return {
        **FEATURES,
        "augmentations": tune.choice([0, 10, 30]),
        "variance": tune.uniform(0.8, 0.999),
        "top_share": tune.loguniform(0.002, 0.1),
    }


def anomalydino() -> Space:
    """Views of a shot, the background, and how many patches make the image's score."""
    return {
        **FEATURES,
        "rotations": tune.choice([1, 4, 8, 16]),
        "masking": tune.choice([True, False]),
        "top_share": tune.loguniform(0.002, 0.1),
    }
