"""The 1, 2 and 4 shots that published results were fitted on, instead of shots drawn by seed.

published_shots.json has, by data set, category and number: for MVTec-AD and VisA places in the
sorted names of the training images, for Real-IAD paths below CATEGORY/OK.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files

from finegrain.data.realiad import DEFAULT_VIEWS, REALIAD, parse_views
from finegrain.data.samples import Category
from finegrain.errors import ConfigError, DatasetError

NUMBERS = (1, 2, 4)
Shots = tuple[int | str, ...]  # of one category all int, or all str


@cache
def published() -> Mapping[str, Mapping[str, Mapping[int, Shots]]]:
    """Data set -> category -> K -> its shots, as they were published."""
    stored = json.loads(files(__package__).joinpath("published_shots.json").read_text())
    return {
        dataset: {
            name: {int(count): tuple(shots) for count, shots in by_count.items()}
            for name, by_count in categories.items()
        }
        for dataset, categories in stored.items()
    }


def check_published(
    dataset: str, categories: Sequence[str], shots: Sequence[int], views: Sequence[str] = ()
) -> None:
    """ConfigError where no shots were published for what is asked."""
    if dataset not in published():
        raise ConfigError(
            f"no shots were published for {dataset}, only for {', '.join(published())}; "
            "leave out --shot-selection published"
        )
    if unknown := [name for name in categories if name not in published()[dataset]]:
        raise ConfigError(f"no shots were published for {', '.join(unknown)} of {dataset}")
    if others := sorted(set(shots) - {0, *NUMBERS}):
        raise ConfigError(f"published are 1, 2 and 4 shots; got {', '.join(map(str, others))}")
    if views and parse_views(views) != DEFAULT_VIEWS:
        raise ConfigError(f"the published shots are of view {DEFAULT_VIEWS[0]}; leave out --views")


def published_indices(category: Category, count: int) -> tuple[int, ...]:
    """The places of the published K shots among `category.train`, each once.

    Raises:
        DatasetError: one of them is not there.
    """
    shots = dict.fromkeys(_named(category.dataset, category.name, count))
    places = {path: place for place, path in enumerate(category.train)}
    folder = category.root / category.name / "OK"
    indices = [shot if isinstance(shot, int) else places.get(folder / shot) for shot in shots]
    found = [index for index in indices if index is not None and index < len(places)]
    if len(found) < len(shots):
        raise DatasetError(
            f"of the published {count} shots of {category.name}, {len(shots) - len(found)} are not "
            f"among its {len(places)} training images: {', '.join(map(str, shots))}; "
            "complete the data set, or leave out --shot-selection published"
        )
    return tuple(found)


def with_published_shots(category: Category) -> Category:
    """The category with every published shot among its training images, none in its test.

    Only Real-IAD's shots can be test images: some are under the split of its JSON files. All of a
    category's shots are taken out whatever K is, so that results compare over K.
    """
    if category.dataset != REALIAD.name:
        return category
    named = [
        shot for shots in published()[category.dataset][category.name].values() for shot in shots
    ]
    paths = {category.root / category.name / "OK" / str(shot) for shot in named}
    test = tuple(sample for sample in category.test if sample.path not in paths)
    train = sorted({*category.train, *(path for path in paths if path.is_file())})
    notes = category.notes
    if removed := len(category.test) - len(test):
        notes += (
            f"{category.name}: {removed} of its published shots are test images; they are taken "
            "out of the test set",
        )
    return replace(category, train=tuple(train), test=test, notes=notes)


def published_notes(dataset: str, name: str, count: int) -> tuple[str, ...]:
    """How the K shots that are taken depart from what was published."""
    if dataset == "visa":
        return (
            "visa: the published loaders did not sort the files, so that these shots, by sorted "
            "names, may be others than the published ones",
        )
    if dataset == "mvtec":
        return ()
    notes = []
    shots = _named(dataset, name, count)
    distinct = len(set(shots))
    if count not in published()[dataset][name]:
        notes.append(f"{name}: no {count} shots were published; these are the first of the 4")
    if distinct < len(shots):
        notes.append(
            f"{name}: the published {count} shots name an image twice; "
            f"fitted on the {distinct} distinct ones"
        )
    return tuple(notes)


def _named(dataset: str, name: str, count: int) -> Shots:
    by_count = published()[dataset][name]
    return by_count.get(count, by_count[max(NUMBERS)][:count])
