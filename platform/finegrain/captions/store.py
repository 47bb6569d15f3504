"""Captions by data set and category: the bundled library, and files of one's own before it."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from finegrain.captions.schema import Caption, Provenance
from finegrain.captions.templates import caption_from_facts
from finegrain.errors import ConfigError
from finegrain.factory import CATEGORIES, FACTORIES
from finegrain.files import write_text

SUFFIXES = (".yaml", ".yml", ".json")


class CaptionStore:
    """Captions of a folder of YAML or JSON files, one caption a file, before the bundled ones.

    Args:
        folder: None for the library alone.
        bundled: whether the library stands behind it.

    Raises:
        ConfigError: a file is no valid caption, or two files caption the same category.
    """

    def __init__(self, folder: Path | None = None, *, bundled: bool = True) -> None:
        own: dict[str, Caption] = {}
        for path in caption_files(folder) if folder else ():
            caption = read_caption(path)
            if caption.key in own:
                raise ConfigError(f"{path} is a second caption of {caption.key}")
            own[caption.key] = caption
        self._captions = {**(library() if bundled else {}), **own}

    def __iter__(self) -> Iterator[Caption]:
        return iter(self._captions.values())

    def find(self, dataset: str, category: str) -> Caption | None:
        """The caption of a category, if there is one.

        The factories show the same parts, and share their captions. A category of a plain folder
        may also have the name of a known one (`bottle`): it takes
        that one's caption if no other data set has the name.
        """
        if found := self._captions.get(f"{dataset}/{category}"):
            return found
        if dataset in FACTORIES:
            return self._captions.get(f"factory/{category}")
        same_name = [c for c in self._captions.values() if c.category == category]
        return same_name[0] if dataset == "folder" and len(same_name) == 1 else None

    def get(self, dataset: str, category: str) -> Caption:
        """What `find` finds; ConfigError lists what there is and how to add one."""
        if found := self.find(dataset, category):
            return found
        datasets = {c.dataset for c in self._captions.values()}
        known = [c.category for c in self._captions.values() if c.dataset == dataset]
        raise ConfigError(
            f"no caption for {dataset}/{category}; {dataset} has "
            f"{', '.join(sorted(known)) or f'none (known data sets: {sorted(datasets)})'}. "
            "Write one as YAML, check it with `finegrain caption --check`, and give its folder "
            "with --captions; or let it be made from the shots, with --captions-from photos"
        )


def find_caption(dataset: str, category: str, folder: Path | None = None) -> Caption:
    """The caption of a category from a folder or the library; ConfigError where there is none."""
    return CaptionStore(folder).get(dataset, category)


def caption_files(folder: Path) -> list[Path]:
    """The caption files of a folder, sorted; ConfigError where it is no folder."""
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder of captions")
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)


def read_caption(path: Path) -> Caption:
    """One caption from a YAML or JSON file; ConfigError says what is wrong with it."""
    try:
        return parse_caption(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def parse_caption(content: bytes, source: str) -> Caption:
    """The caption that YAML or JSON says; ConfigError names the source and what is wrong."""
    try:
        return Caption.model_validate(yaml.safe_load(content.decode()))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{source} cannot be read: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{source} is no caption: {faults(error)}") from error


def write_caption(path: Path, caption: Caption) -> None:
    """One caption as YAML that a person can edit; whole or not at all."""
    write_text(path, caption_yaml(caption))


def caption_yaml(caption: Caption) -> str:
    """One caption as a person edits it."""
    record = caption.model_dump(mode="json", exclude_none=True)
    record["background"] = caption.background  # null says that the part fills the image
    return yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=100)


def faults(error: ValidationError) -> str:
    """All that is wrong with a record, place by place."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


@cache
def library() -> Mapping[str, Caption]:
    """The captions that come with the package, by DATASET/CATEGORY."""
    found = [
        caption_from_facts("factory", name, part.facts, _from("generator"))
        for name, part in CATEGORIES.items()
    ]
    for entry in sorted(files(__package__).joinpath("library").iterdir(), key=str):
        stored: dict[str, Any] = json.loads(entry.read_text())
        found += [
            caption_from_facts(stored["dataset"], name, facts, _from(stored["provenance"]))
            for name, facts in stored["categories"].items()
        ]
    return {caption.key: caption for caption in found}


def _from(facts: Any) -> Provenance:
    return Provenance(source="template", facts=facts)
