"""The compositional prompt ensemble (WinCLIP, Jeong et al., CVPR 2023): states within templates.

D width of the joint space.
"""

import torch.nn.functional as F
from torch import Tensor

from finegrain.backbones import FrozenClip

NORMAL_STATES = (
    "{}", "flawless {}", "perfect {}", "unblemished {}", "{} without flaw", "{} without defect",
    "{} without damage",
)  # fmt: skip
ABNORMAL_STATES = ("damaged {}", "{} with flaw", "{} with defect", "{} with damage")
TEMPLATES = tuple(
    f"{photo.format(article=article)}."
    for photo in (
        "a photo of {article} {{}}", "a cropped photo of {article} {{}}",
        "a close-up photo of {article} {{}}", "a bright photo of {article} {{}}",
        "a dark photo of {article} {{}}", "a blurry photo of {article} {{}}",
        "a jpeg corrupted photo of {article} {{}}", "a photo of {article} small {{}}",
        "a photo of {article} large {{}}", "a photo of {article} {{}} for visual inspection",
        "a photo of {article} {{}} for anomaly detection",
    )
    for article in ("a", "the")
)  # fmt: skip


def ensemble(object_name: str) -> tuple[list[str], list[str]]:
    """All sentences about a sound object of that name, and all about a faulty one."""
    sound, faulty = (
        [template.format(state.format(object_name)) for state in states for template in TEMPLATES]
        for states in (NORMAL_STATES, ABNORMAL_STATES)
    )
    return sound, faulty


def prototypes(clip: FrozenClip, object_name: str) -> tuple[Tensor, Tensor]:
    """(D,) the unit-norm means of the features of normal and of abnormal sentences."""
    sound, faulty = (clip.encode_text(sentences) for sentences in ensemble(object_name))
    return F.normalize(sound.mean(0), dim=-1), F.normalize(faulty.mean(0), dim=-1)
