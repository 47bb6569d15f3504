"""Which shots and views a benchmark takes, where it is not the draw by seed."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from finegrain.benchmark.grid import Grid
from finegrain.data import load_category
from finegrain.data.published import check_published, published_indices
from finegrain.data.realiad import DEFAULT_VIEWS, REALIAD, parse_views
from finegrain.errors import ConfigError

ShotList = dict[str, dict[int, tuple[int, ...]]]  # category -> K -> places in the sorted names


def check_selection(grid: Grid) -> None:
    """ConfigError where published shots are asked for and there are none, before any data."""
    if grid.shot_selection == "seeded":
        return
    if grid.shot_list:
        raise ConfigError("give either --shot-list or --shot-selection published")
    check_published(grid.dataset, grid.categories, grid.shots, grid.views)


def list_shots(grid: Grid, root: Path, categories: Sequence[str]) -> ShotList | None:
    """The shots of a checked grid where they are listed, None where they are drawn by seed."""
    if grid.shot_selection == "published":
        return published_shot_list(grid.dataset, root, categories, grid.shots)
    return read_shot_list(grid.shot_list, categories, grid.shots) if grid.shot_list else None


def read_shot_list(path: Path, categories: Sequence[str], shots: Sequence[int]) -> ShotList:
    """A JSON file {CATEGORY: {K: [places in sorted train/good]}}, checked for the grid."""
    try:
        listed = TypeAdapter(ShotList).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        expected = "{category: {K: [places]}}"
        raise ConfigError(f"{path} is no list of shots {expected}: {error}") from error
    for category, count in product(categories, shots):
        found = len(listed.get(category, {}).get(count, ()))
        if found != count:
            raise ConfigError(f"{path} lists {found} images for {count} shots of {category}")
    return {name: listed[name] for name in categories}


def published_shot_list(
    dataset: str, root: Path, categories: Sequence[str], shots: Sequence[int]
) -> ShotList:
    """The places of the published shots; DatasetError where one is not on disk."""
    listed: ShotList = {}
    for name in categories:
        category = load_category(dataset, root, name, published=True)
        listed[name] = {count: published_indices(category, count) for count in shots if count}
    return listed


def choose_views(dataset: str, views: Sequence[str]) -> tuple[str, ...]:
    """The views, none for the default: a trial is the same whether that was named or not."""
    if not views:
        return ()
    if dataset != REALIAD.name:
        raise ConfigError(f"--views are of {REALIAD.name}; {dataset} has none")
    chosen = parse_views(views)
    return () if chosen == DEFAULT_VIEWS else chosen
