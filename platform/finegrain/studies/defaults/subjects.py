"""What the candidates are measured on: two factories, which are drawn, and photographs, given.

The factories have a seed of their own, so that the one that results are published of had no say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finegrain.captions import Caption, CaptionStore
from finegrain.data import Category, load_category
from finegrain.errors import ConfigError
from finegrain.factory import CATEGORIES, FACTORIES, write_factory

SEED = 7  # of the factories
PHOTOGRAPHS = "photographs"
CAPTIONS = Path(__file__).parents[1] / "captions"  # of the photographs that were at hand


@dataclass(frozen=True)
class Subject:
    """A category, its caption, and the kind of data that it belongs to."""

    kind: str
    category: Category
    caption: Caption


def gather(
    folder: Path,
    photographs: Sequence[Path] = (),
    categories: Sequence[str] = (),
    captions: Path | None = None,
) -> list[Subject]:
    """The chosen categories of every kind of data, all by default.

    Args:
        folder: where the factories are drawn.
        photographs: folders of a category each, in the MVTec-AD layout.
        categories: names; one that two kinds have is chosen of both.
        captions: of YAML files, before the study's own and the library's.

    Raises:
        ConfigError: an unknown category, or one without a caption.
        DatasetError: files that are missing.
    """
    if files := [str(path) for path in photographs if not path.is_dir()]:
        raise ConfigError(f"--photographs takes folders of a category; {', '.join(files)} is none")
    given = {path.resolve().name: path.resolve() for path in photographs}
    if len(given) < len(photographs):
        raise ConfigError("two of --photographs have the same name; rename one of them")
    known = list(dict.fromkeys([*CATEGORIES, *given]))
    if unknown := [name for name in categories if name not in known]:
        raise ConfigError(f"no category {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
    chosen = list(categories) or known
    found = []
    for kind, (turn, shift) in FACTORIES.items():
        names, root = [name for name in CATEGORIES if name in chosen], folder / kind
        write_factory(root, categories=names, seed=SEED, turn=turn, shift=shift)
        store = CaptionStore(captions)
        found += [
            Subject(kind, load_category(kind, root, name), store.get(kind, name)) for name in names
        ]
    of_study = CaptionStore(CAPTIONS)
    own = CaptionStore(captions)
    for name, path in given.items():
        if name in chosen:
            caption = own.find("folder", name) or of_study.get("folder", name)
            category = load_category("folder", path.parent, name)
            found.append(Subject(PHOTOGRAPHS, category, caption))
    return found
