"""What lies in a folder: the one place that tells images from what systems leave beside them.

Everything comes in the order of its sorted names, never in the file system's.
"""

from collections.abc import Iterator
from pathlib import Path

from finegrain.data.formats import SUFFIXES

HIDDEN = {  # beside all names that begin with a dot: .ipynb_checkpoints, ._000.png, .DS_Store
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin",
    "system volume information", "lost+found", "__pycache__",
}  # fmt: skip
OTHER_PICTURES = {
    ".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".psd", ".svg", ".pdf", ".ppm",
    ".pgm", ".pnm", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw", ".exr", ".hdr", ".dcm", ".npy",
    ".jfif", ".jpe", ".dib", ".ico", ".tga",
}  # fmt: skip


def is_hidden(path: Path) -> bool:
    """Whether the name is one that a system gives to what is nobody's image."""
    return path.name.startswith(".") or path.name.lower() in HIDDEN


def entries(folder: Path) -> list[Path]:
    """What is not hidden; nothing where there is no folder."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(entry for entry in found if not is_hidden(entry))


def folders(parent: Path) -> list[Path]:
    """The folders right below."""
    return [entry for entry in entries(parent) if entry.is_dir()]


def images(folder: Path) -> list[Path]:
    """The files right in it whose names end like an image's, in capitals or not."""
    return [path for path in entries(folder) if _is_named_image(path) and path.is_file()]


def images_below(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """The same of the folder and of all below it; a link to a folder `above` is not followed."""
    own = above | {folder.resolve()}
    yield from images(folder)
    for inner in folders(folder):
        if inner.resolve() not in own:
            yield from images_below(inner, own)


def unread(folder: Path) -> list[Path]:
    """What lies in a folder of images and is not read.

    Pictures of other kinds, links to images that are gone, and folders of images.
    """
    return [
        entry
        for entry in entries(folder)
        if (entry.suffix.lower() in OTHER_PICTURES and entry.is_file())
        or (_is_named_image(entry) and entry.is_symlink() and not entry.exists())
        or (entry.is_dir() and any(images_below(entry)))
    ]


def _is_named_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES
