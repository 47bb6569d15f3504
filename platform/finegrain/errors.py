"""What can be wrong with what a user gave; trying the same again never helps.

InputError
├── ImageError              a file is not an image that can be read within the limits
│   ├── ImageFormatError    it is no image, or of a kind that is not read
│   └── ImageSizeError      it has too many bytes or pixels, or too few
├── DatasetError            a folder, category, mask or shot is missing or contradicts another
├── ConfigError             an unknown name or an option out of its range
├── CalibrationError        the scores of the shots allow no threshold
├── CheckpointError         a saved detector is incomplete, damaged or for another backbone
├── ScoreError              a score or a map is no finite number
└── UndefinedMetricError    the metric has no value on this data
"""


class InputError(ValueError):
    """The root of all errors that the user can mend; anything else is worth a retry."""


class ImageError(InputError):
    """A file is not an image that can be read within the limits."""


class ImageFormatError(ImageError):
    """It is no image, or of a kind that is not read."""


class ImageSizeError(ImageError):
    """It has too many bytes or pixels, or too few."""


class DatasetError(InputError):
    """A folder, category, mask or shot is missing or contradicts another."""


class ConfigError(InputError):
    """An unknown name or an option out of its range."""


class CalibrationError(InputError):
    """The scores of the shots allow no threshold."""


class CheckpointError(InputError):
    """A saved detector is incomplete, damaged or for another backbone."""


class ScoreError(InputError):
    """A score or a map is no finite number, so that nothing can be decided by it."""


class UndefinedMetricError(InputError):
    """The metric has no value on this data, for example an AUROC of a single class."""


def first_line(error: Exception) -> str:
    """What an error says first, its kind where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
