"""What a part would be learnt as, before it is enrolled. No Ray in here.

K photos; their regions are found by colours and joint tokens.
"""

import numpy as np
import torch
from PIL import Image

from finegrain.backbones import FrozenClip, RgbImage, encode
from finegrain.captions import Caption
from finegrain.captions.from_photos import caption_from_photos
from finegrain.captions.store import caption_yaml
from finegrain.data.images import decode_rgb
from finegrain.detectors import detector_class
from finegrain.evaluation.figures import png
from finegrain.evaluation.photos import photo_faults
from finegrain.evaluation.regions import tinted
from finegrain.serving.config import ServingConfig
from finegrain.serving.enrolment import Order
from finegrain.serving.fit_part import backbone_of
from finegrain.serving.messages import Preview

SIDE = 320  # pixels of the longer side of a picture


def preview(order: Order, config: ServingConfig) -> Preview:
    """Look at the order's photos as its fit would; InputError where one can't be read."""
    torch.set_num_threads(max(1, int(config.enrol_cpus)))
    images = [decode_rgb(photo, f"photo {i}") for i, photo in enumerate(order.photos, start=1)]
    device = "cuda" if config.enrol_gpus else "cpu"
    backbone = backbone_of(config.backbone, device, config.backbone_weights)
    faults = tuple(
        f"photo {fault.place + 1} is {fault.kind}: {fault.detail}"
        for fault in photo_faults(images, encode(backbone, images))
    )
    if not detector_class(order.method).needs_caption or not isinstance(backbone, FrozenClip):
        return Preview(faults)
    found = caption_from_photos(order.dataset, order.category, images, backbone)
    pictures = tuple(
        png(tinted(_small(image), labels))
        for image, labels in zip(images, found.regions.labels, strict=True)
    )
    given = order.options.get("caption")
    caption = Caption.model_validate(given) if given else found.caption
    return Preview(faults, caption_yaml(caption), pictures)


def _small(image: RgbImage) -> RgbImage:
    small = Image.fromarray(image)
    small.thumbnail((SIDE, SIDE))
    return np.asarray(small)
