"""A look at every file below a root, before a benchmark spends a night on them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from finegrain.data import KNOWN, Category, Sample, scan_category
from finegrain.data.findings import CategoryFindings, Findings, Twins
from finegrain.data.folder import list_categories
from finegrain.data.images import decode_rgb, deep_range, marked, mask_layers, oddities, read_bytes
from finegrain.data.likeness import Look, look
from finegrain.data.masks import small_regions
from finegrain.data.published import check_published, published_indices, published_notes
from finegrain.data.samples import GOOD
from finegrain.data.shots import drawable, select_shots, shots_at
from finegrain.errors import ConfigError, DatasetError, ImageError, InputError
from finegrain.factory import CATEGORIES, FACTORIES

Progress = Callable[[int, int], None]  # images read, of how many
Draws = Sequence[tuple[Path, ...]]  # the shots of each seed, or of each K


class Checkup:
    """Reads the files of a data set and takes down what is wrong, instead of stopping there.

    Args:
        shots, seeds, published: whose shots are looked at for near-duplicates.
        progress: called after each image.
    """

    def __init__(
        self,
        dataset: str,
        root: Path,
        *,
        categories: Sequence[str] | None = None,
        views: Sequence[str] = (),
        shots: Sequence[int] = (1, 2, 4),
        seeds: Sequence[int] = (0, 1, 2),
        published: bool = False,
        good: str = GOOD,
        progress: Progress | None = None,
    ) -> None:
        self._dataset, self._root, self._views, self._good = dataset, root, views, good
        self._shots, self._seeds, self._published = shots, seeds, published
        self._progress = progress
        self._done = self._total = 0
        self._turned: set[Path] = set()  # images, by EXIF
        present, known = _present(dataset, root, good)
        if published:
            check_published(dataset, categories or (), shots, views)
        self._chosen = [name for name in categories or known if name in present]
        self._missing = [name for name in categories or known if name not in present]

    def run(self) -> Findings:
        """Everything, category by category."""
        found = [CategoryFindings(name) for name in self._chosen]
        scanned = [self._scan(one) for one in found]
        self._total = sum(len(c.train) + len(c.test) for c in scanned if c)
        for one, category in zip(found, scanned, strict=True):
            if category:
                self._read(category, one)
        return Findings(self._dataset, self._root, found, self._missing)

    def _scan(self, found: CategoryFindings) -> Category | None:
        try:
            category = scan_category(
                self._dataset, self._root, found.name, self._views, self._published, self._good
            )
        except DatasetError as error:
            found.problems.append(str(error))
            return None
        found.notes, found.ignored = category.notes, category.ignored
        if self._published:
            for count in self._shots:
                found.notes += published_notes(self._dataset, found.name, count)
        return category

    def _read(self, category: Category, found: CategoryFindings) -> None:
        draws = self._draws(category, found)
        drawn = {path for draw in draws for path in draw}
        looks: dict[Path, Look] = {}
        digests: dict[Path, str] = {}
        for path in category.train:
            found.train += 1
            if (read := self._image(path, found)) and path in drawn:
                digests[path], looks[path], _ = read
        for sample in category.test:
            read = self._image(sample.path, found)
            if read:
                digests[sample.path], looks[sample.path], size = read
            if sample.anomalous:
                found.defects[sample.defect] = found.defects.get(sample.defect, 0) + 1
                self._mask(sample, size if read else None, found)
            else:
                found.good += 1
        tests = [sample.path for sample in category.test]
        _compare(draws, tests, looks, digests, found)

    def _draws(self, category: Category, found: CategoryFindings) -> Draws:
        """The shots that a benchmark would be fitted on."""
        try:
            if self._published:
                chosen = [published_indices(category, count) for count in self._shots]
                return [shots_at(category, indices) for indices in chosen]
            most = max(self._shots)
            if most <= len(category.train):  # where strays lack, they are the problem
                most = min(most, len(drawable(category)))
            return [select_shots(category, most, seed) for seed in self._seeds]
        except DatasetError as error:
            found.problems.append(str(error))
            return []

    def _image(
        self, path: Path, found: CategoryFindings
    ) -> tuple[str, Look, tuple[int, int]] | None:
        """Digest, look and (width, height); None where the image can't be read."""
        self._done += 1
        if self._progress:
            self._progress(self._done, self._total)
        try:
            data = read_bytes(path)
            image = decode_rgb(data, str(path))
            found.ranges.append(deep_range(data, str(path)))
            turned, frames = oddities(data, str(path))
        except ImageError as error:
            found.problems.append(str(error))
            return None
        size = (image.shape[1], image.shape[0])
        found.sizes.append(size)
        if frames > 1:
            found.framed.append(path)
        if turned:
            self._turned.add(path)
        return hashlib.sha256(data).hexdigest(), look(image), size

    def _mask(self, sample: Sample, size: tuple[int, int] | None, found: CategoryFindings) -> None:
        if sample.mask is None:
            if self._dataset in KNOWN:  # in other folders masks are optional
                found.mask_fault(sample.defect, "missing", f"{sample.path} has no mask")
        elif not sample.mask.exists():
            problem = f"{sample.path} has no mask; expected {sample.mask}"
            found.mask_fault(sample.defect, "missing", problem)
        elif size:
            _check_mask(sample, sample.mask, size, found)
            if sample.path in self._turned and not _is_turned(sample.mask):
                found.turned.append(sample.path)


def _is_turned(mask: Path) -> bool:
    """Whether EXIF turns a mask, too; of a folder of them no one asks."""
    try:
        return mask.is_file() and oddities(read_bytes(mask), str(mask))[0]
    except ImageError:
        return False


def _check_mask(sample: Sample, path: Path, size: tuple[int, int], found: CategoryFindings) -> None:
    try:
        layers = mask_layers(path, height=size[1], width=size[0])
    except InputError as error:
        fault = "unreadable" if isinstance(error, ImageError) else "other size"
        found.mask_fault(sample.defect, fault, str(error))
        return
    mask = np.logical_or.reduce([marked(layer) for layer in layers])
    if any(((layer > 0) & ~marked(layer)).any() for layer in layers):
        found.grey_masks.append(path)
    if small := small_regions(mask):
        found.small_regions[path] = small
    if not mask.any():
        found.mask_fault(sample.defect, "empty", f"mask {path} is all black, but the image is bad")


def _compare(
    draws: Draws,
    tests: Sequence[Path],
    looks: Mapping[Path, Look],
    digests: Mapping[Path, str],
    found: CategoryFindings,
) -> None:
    """Shots against each other within a draw, and against the test images."""
    within = [pair for draw in draws for pair in combinations(draw, 2)]
    drawn = dict.fromkeys(path for draw in draws for path in draw)
    against = [(shot, test) for shot in drawn for test in tests]
    for shot, other in dict.fromkeys(within + against):
        if shot not in looks or other not in looks:
            continue
        if digests[shot] == digests[other]:
            found.problems.append(f"shot {shot} and {other} are the same file; remove one of them")
        elif looks[shot].like(looks[other]):
            levels = looks[shot].levels_apart(looks[other])
            correlation = looks[shot].correlation(looks[other])
            found.twins.append(Twins(shot, other, levels, correlation))


def _present(dataset: str, root: Path, good: str) -> tuple[list[str], Sequence[str]]:
    """The categories on disk, and those that belong there."""
    if dataset in KNOWN:
        return KNOWN[dataset].present(root), KNOWN[dataset].categories
    if dataset not in (*FACTORIES, "folder"):
        known = ", ".join((*FACTORIES, "folder", *KNOWN))
        raise ConfigError(f"no dataset {dataset!r}; known: {known}")
    present = list_categories(root, good)
    return present, sorted(CATEGORIES) if dataset in FACTORIES else present
