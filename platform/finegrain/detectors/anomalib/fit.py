"""Building, fitting and restoring models of anomalib.

K shots, S side of the image.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from finegrain.backbones.efficientnet import EfficientNetLite1, pretrained_tower
from finegrain.backbones.weights_file import read_weights
from finegrain.detectors.anomalib.config import AnomalibConfig
from finegrain.detectors.anomalib.library import image_models, known_name, quiet
from finegrain.errors import CheckpointError, ConfigError

RANDOM = "random"


def fit(config: AnomalibConfig, images: Tensor, device: torch.device, seed: int) -> Any:
    """The Lightning module of that model, fitted on (K,3,S,S) from 0 to 1 and on nothing else.

    The shots reach anomalib through a temporary folder, where they are the data to validate on too.
    """
    with quiet(), _seeded(seed, device), TemporaryDirectory(prefix="anomalib-") as scratch:
        module = _build(config, _weights(config.weights))
        folder = _write_images(images, Path(scratch))
        engine = import_module("anomalib.engine").Engine(
            default_root_dir=scratch,
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device.type == "cuda" else 1,
            barebones=True,  # no pickled checkpoints, loggers or progress bars
            max_epochs=config.max_epochs,
            check_val_every_n_epoch=config.max_epochs,
        )
        data = import_module("anomalib.data").Folder(
            name="shots",
            root=scratch,
            normal_dir=folder.name,
            normal_test_dir=folder.name,
            val_split_mode="same_as_test",
            train_batch_size=config.batch_size,
            eval_batch_size=config.batch_size,
            num_workers=0,
        )
        with _said_by(config.model):
            engine.fit(module, datamodule=data)
    return _frozen(module, device)


def restore(config: AnomalibConfig, state: Mapping[str, Tensor], device: torch.device) -> Any:
    """The module with the state of a fitted one; what grew in fitting is given its size first."""
    with quiet():
        module = _build(config, {})
    try:
        for name, value in state.items():
            place, _, leaf = name.rpartition(".")
            owner = module.model.get_submodule(place)
            if leaf in owner._buffers:
                owner._buffers[leaf] = torch.empty_like(value)
        module.model.load_state_dict(state)
    except (AttributeError, RuntimeError) as error:
        raise CheckpointError(f"anomalib's {config.model} does not fit: {error}") from error
    return _frozen(module, device)


def only_remembers(module: Any) -> bool:
    """Whether fitting is one pass over the shots, without training."""
    kind: type = import_module("anomalib.models.components").MemoryBankMixin
    return isinstance(module, kind)


def _frozen(module: Any, device: torch.device) -> Any:
    """To score with; tensors lie in memory as they will after reloading, so that bits agree."""
    module.eval().requires_grad_(False).to(device)
    for tensor in module.model.state_dict(keep_vars=True).values():
        tensor.set_(tensor.contiguous())
    return module


def _build(config: AnomalibConfig, weights: Mapping[str, Tensor] | None) -> Any:
    """The model, unfitted; with `weights`, timm downloads none, see `_timm_takes`."""
    kind = getattr(image_models(), known_name(config.model))
    with _said_by(config.model), nullcontext() if weights is None else _timm_takes(weights):
        return kind(
            **config.arguments,
            pre_processor=_pre_processor(kind, config),
            post_processor=False,
            evaluator=False,
            visualizer=False,
        )


def _pre_processor(kind: Any, config: AnomalibConfig) -> Any:
    """The model's own, but at S × S, without a centre crop, and normalised as the options say."""
    v2 = import_module("torchvision.transforms.v2")
    own = kind.configure_pre_processor()
    steps = own.transform.transforms if isinstance(own.transform, v2.Compose) else [own.transform]
    size = (config.image_size, config.image_size)
    kept: list[Any] = []
    for step in steps:
        if isinstance(step, v2.Resize):
            kept.append(v2.Resize(size, interpolation=step.interpolation, antialias=True))
        elif isinstance(step, v2.Normalize) and config.mean:
            kept.append(v2.Normalize(config.mean, config.std))
        elif not isinstance(step, v2.CenterCrop):
            kept.append(step)
    return type(own)(transform=v2.Compose(kept))


def _weights(source: str | None) -> Mapping[str, Tensor] | None:
    """The tensors that the option `weights` speaks of, by timm's names."""
    if source is None:
        return None
    if source == RANDOM:
        return {}
    if source == EfficientNetLite1.name:
        return pretrained_tower().state_dict()
    path = Path(source)
    if not path.is_file():
        raise ConfigError(
            f"weights {source} is no file, and not {EfficientNetLite1.name} or {RANDOM}"
        )
    return read_weights(path)


@contextmanager
def _timm_takes(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """For the block, a pretrained model of timm has these weights, or random ones if empty."""
    import timm

    create: Callable[..., nn.Module] = timm.create_model

    def local(*args: Any, pretrained: bool = False, **options: Any) -> nn.Module:
        model = create(*args, pretrained=False, **options)
        if pretrained and weights:
            own = model.state_dict().keys()
            if missing := sorted(own - weights.keys()):
                raise ConfigError(f"weights lack {len(missing)} tensors, {missing[0]} first")
            model.load_state_dict({name: weights[name] for name in own})
        return model

    timm.create_model = local
    try:
        yield
    finally:
        timm.create_model = create


def _write_images(images: Tensor, folder: Path) -> Path:
    """A folder of PNG files; their 8 bits are all that the pixels had."""
    good = folder / "good"
    good.mkdir()
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(good / f"{index:03}.png")
    return good


@contextmanager
def _said_by(model: str) -> Iterator[None]:
    """What a model refuses, or cannot download, as ConfigError: trying again will not help."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"anomalib's {model} could not get its pretrained weights or auxiliary images: {error} "
            "Where no hub is reachable: weights=FILE for what timm would load, the hub's cache or "
            "the model's own arguments for the rest"
        ) from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"anomalib's {model}: {error}") from error


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """For the block, all generators that a library may use begin at the seed."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
