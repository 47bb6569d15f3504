"""What detectors that read text ask of their backbone."""

from finegrain.backbones import Backbone, FrozenClip, RemoteBackbone
from finegrain.errors import ConfigError


def check_reads_text(backbone: Backbone, method: str) -> None:
    """ConfigError for a backbone without a text tower, here or wherever it encodes."""
    if not isinstance(backbone, FrozenClip | RemoteBackbone):
        raise ConfigError(
            f"{method} reads text, and {backbone.name} does not; take a CLIP, for example bundled"
        )


def logit_scale(backbone: Backbone, option: str) -> float:
    """The backbone's own temperature T; ConfigError asks for the option if it is not told."""
    if not isinstance(backbone, FrozenClip):
        raise ConfigError(f"to score tokens of {backbone.name} alone, give {option}")
    return backbone.logit_scale
