"""PAD, the prompts' score of every token (Eq. 4-7), and its fusion with VAD (Eq. 8)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.backbones import PatchTokens
from finegrain.method.config import Fusion, ScoringConfig

SMALLEST = 1e-6


@dataclass(frozen=True)
class UnitFeatures:
    """What scoring keeps of the prompts, unit norm.

    Args:
        normal: (U,D) n̄.
        abnormal: (U,D) ā.
        queries: (U,D) q.
    """

    normal: Tensor
    abnormal: Tensor
    queries: Tensor


def prompt_map(
    patches: Tensor, units: UnitFeatures, local: Tensor, temperature: float, config: ScoringConfig
) -> tuple[Tensor, Tensor]:
    """M_p (B,N), in [0, 1], and u* (B,N), each token's best matching unit.

    Departure: by default ("prompt") a token's share is the mean over the local units weighted by
    softmax(T⟨z,n̄⟩), so that a token between two components is not given to one of them. "query" is
    the paper's: the share of the unit whose q is nearest, alone.

    Args:
        patches: (B,N,D) unit norm.
        units: the first is the image's.
        local: (V,) the units that tokens are matched with: components and background.
        temperature: T.
        config: switches.
    """
    by_query = config.matching == "query"
    keys = units.queries if by_query else units.normal
    closeness = temperature * (patches @ keys[local].T)  # (B,N,V)
    best = closeness.argmax(-1)  # Eq. 4
    shares = abnormal_share(patches, units.normal, units.abnormal, temperature)  # (B,N,U)
    found = shares[..., local]
    if not config.token_wise:
        scores = shares.mean(-1)
    elif by_query:
        scores = found.gather(-1, best[..., None])[..., 0]  # Eq. 5
    else:
        scores = (closeness.softmax(-1) * found).sum(-1)
    if config.reweighting:
        scores = (scores * (1 + shares[..., 0])).clamp(0, 1)  # Eq. 6, 7
    return scores, local[best]


def abnormal_share(
    tokens: Tensor, normal: Tensor, abnormal: Tensor, temperature: float
) -> Tensor:  # (...,D), (U,D), (U,D) -> (...,U)
    """softmax over (T⟨z,n̄⟩, T⟨z,ā⟩), its abnormal part."""
    return torch.sigmoid(temperature * (tokens @ (abnormal - normal).T))


def harmonic_mean(a: Tensor, b: Tensor) -> Tensor:
    """1 / (1/a + 1/b); 0 where either is."""
    return 1 / (1 / a.clamp(min=SMALLEST) + 1 / b.clamp(min=SMALLEST))


def class_scores(tokens: PatchTokens, units: UnitFeatures, temperature: float) -> Tensor:
    """S_c (B,): the abnormal share of the image-level pair at the class token."""
    image = abnormal_share(tokens.image, units.normal[:1], units.abnormal[:1], temperature)
    return image[:, 0]


def fused(visual: Tensor, prompt: Tensor, fusion: Fusion) -> Tensor:
    """The final patch scores (B,N) of M_v and M_p', each (B,N).

    "harmonic" is the paper's map, H(M_p', M_v). The default, "weighted", departs from it:
    M_v·(1 + M_p'). The harmonic mean follows whichever map is smaller, which is M_v mostly, a
    distance and no probability like M_p. "visual" and "prompt" take one side alone.
    """
    match fusion:
        case "visual":
            return visual
        case "prompt":
            return prompt
        case "harmonic":
            return harmonic_mean(prompt, visual)
    return visual * (1 + prompt)


def image_scores(patches: Tensor, image: Tensor, config: ScoringConfig) -> Tensor:
    """S (B,) = H(S_c, what stands out most), Eq. 8.

    What stands out is the maximum of Eq. 1 as the published code has it ("visual"), of the final
    map as the paper's text has it ("map"), or the mean of the final map's highest tokens ("tail"),
    which is steadier than one of them, less a share `level` of the map's median: an image that is a
    little farther from the shots everywhere has no defect for that. A fusion of one side alone has
    no other side's part: "visual" no S_c, and "prompt" no Eq. 1.

    Args:
        patches: (B,N) the final map, or Eq. 1 where `image` is "visual".
        image: (B,) S_c.
        config: switches.
    """
    if config.image == "tail":
        highest = patches.topk(max(1, int(config.tail * patches.shape[1])), dim=1).values
        peak = highest.mean(1) - config.level * patches.quantile(0.5, dim=1)
    else:
        peak = patches.amax(1)
    if config.fusion == "visual":
        return peak
    if config.fusion == "prompt" and config.image == "visual":
        return image
    return harmonic_mean(image, peak)


def unit_features(normal: Tensor, abnormal: Tensor, queries: Tensor) -> UnitFeatures:
    """All of unit norm, without gradient."""
    return UnitFeatures(*(F.normalize(x.detach(), dim=-1) for x in (normal, abnormal, queries)))
