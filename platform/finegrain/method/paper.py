"""`finegrained:paper`: what the paper's text says, switch by switch, and nothing else.

Every switch stands here, also where the default is the same, so that a default may change without
the paper. Where text and published code differ, or the text is open, the comment says which reading
this is. Equation numbers and section 3.4 are the paper's; the rest are its constants.
"""

from collections.abc import Mapping
from typing import Final

PAPER: Final[Mapping[str, Mapping[str, object]]] = {
    "prompts": {
        "multi_level": True,  # image, foreground, components, background
        "context": 4,  # learnable vectors before a sentence
        "learnable": 4,  # ALPs a unit
        "initial": 0.0,  # open; std 0.02, as CoOp and the published code have it
    },
    "regions": {  # 3.4: four modifications of DPC-KNN
        "semantic_centers": True,
        "semantic_dimension": True,
        "two_stages": True,
        "fine_resolution": True,
        "weight": 1.5,
        "ground_neighbours": 8,  # k of the first stage
        "part_neighbours": 5,  # k of the second
    },
    "memory": {  # Eq. 1: the tower's levels, anywhere in the K shots as they are
        "radius": None,
        "near": 0.0,
        "joint": False,
        "turned": False,
        "finest": 1.0,
        "usual": 0.0,
    },
    "losses": {
        "weighting": "losses",  # 3.4: "larger learning weights"; the published code: tokens
        "class_token": True,  # 3.4: aligned with "normal images and visual components"
        "temperature": None,  # Eq. 2: CLIP's scale; the published code takes its logarithm: "log"
        "clip": 1.0,  # Eq. 2
        "triplet": 1.0,
        "mean": 0.001,
        "regularization": 1.0,  # Eq. 3
        "query": 1.0,  # open: the text trains the Query Former, the published code does not
        "margin": 1.0,
        "eta": 1.0,  # Eq. 3
    },
    "training": {
        "epochs": 100,
        "learning_rate": 2e-3,
        "final_learning_rate": 1e-5,
        "momentum": 0.9,
        "weight_decay": 5e-4,
    },
    "scoring": {
        "temperature": None,  # Eq. 5: CLIP's scale, as in learning
        "class_temperature": None,  # Eq. 8: the same
        "token_wise": True,  # Eq. 4, 5
        "matching": "query",  # Eq. 4
        "reweighting": True,  # Eq. 6, 7; off in the published code
        "image": "map",  # Eq. 8 as its text reads; the published code: "visual", Eq. 1 alone
        "fusion": "harmonic",
    },
}


def dotted(nested: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """{"GROUP.OPTION": value}, as the command line has it."""
    return {
        f"{group}.{option}": value
        for group, options in nested.items()
        for option, value in options.items()
    }
