"""Parts from good photos alone: a benchmark that measures nothing, and its champions."""

from pathlib import Path

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.store import load
from finegrain.cluster.connect import Share
from finegrain.cluster.full import Tell, begin, full_benchmark
from finegrain.data.folder import good_photos, list_categories
from finegrain.data.listing import folders
from finegrain.data.samples import GOOD
from finegrain.errors import DatasetError
from finegrain.places import begun_folder, tracking_uri
from finegrain.tracking import Registry


def fit_parts(
    photos: Path | None,
    grid: Grid,
    *,
    output: Path | None,
    resume: str | None,
    uri: str | None,
    share: Share,
    promote: bool,
    tell: Tell,
) -> bool:
    """Fit every part of a folder, or resume that; True if all are fitted.

    Args:
        photos: see `find_parts`; None to resume.
        grid: method, shots at most, and what else is given.
        output: folder of the fits; None for a new one.
        resume: name or folder of fits that were begun.
        uri: of MLflow.
        share: of each fit.
        promote: whether the fits become champions.
        tell: hears of each part.
    """
    if photos is None:
        directory = begun_folder(str(resume))
        complete = full_benchmark(
            Grid(), output=None, resume=resume, uri=uri, share=share, tell=tell
        )
    else:
        root, parts = find_parts(photos, grid.good)
        asked = grid.model_copy(
            update={
                "dataset": "folder",
                "data_root": root,
                "categories": grid.categories or parts,
                "fewer_shots": True,
                "captions_from": "photos",
                "self_check": True,
            }
        )
        directory, complete = begin(asked, "fit", output, uri, share, tell)
    if promote:
        registry = Registry(uri or tracking_uri(directory.parent))
        method = load(directory).methods[0]
        runs = registry.benchmark_runs(directory.name, method=method, shots=None, seed=None)
        for run in runs.values():
            champion = registry.promote(run)
            tell(f"{champion.key}: champion is version {champion.version}")
    return complete


def find_parts(photos: Path, good: str = GOOD) -> tuple[Path, tuple[str, ...]]:
    """The folder above the parts, and their names; one folder of photos is one part.

    Args:
        photos: of one part, or a folder of parts.
        good: what the folder of good photos within a part's may be called, beside "good".

    Raises:
        DatasetError: there is no photo, or it holds photos beside folders of photos.
    """
    photos = photos.resolve()
    if not photos.is_dir():
        raise DatasetError(f"{photos} is not a folder; give one of photos, or one of parts")
    own = good_photos(photos, good)
    if not own:
        return photos, tuple(list_categories(photos, good))
    beside = [entry.name for entry in folders(photos) if good_photos(entry, good)]
    if own[0].parent == photos and beside:
        raise DatasetError(
            f"{photos} holds photos beside folders of photos ({', '.join(sorted(beside))}); "
            "give the folder of one part, or move the single photos to a folder of their own"
        )
    return photos.parent, (photos.name,)
