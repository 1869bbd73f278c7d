"""The errors that hdmatt raises.

Every error says what we got, what we need, and one thing to do (the hint). The command line prints both on stderr and
returns the error's exit code: 2 for a caller's mistake, 1 for ours. Options stand in messages as on the command line:
--max-pixels is the keyword max_pixels.

    HDMattError         base class of all of them
    InputError          a picture, trimap, file, option or array that we cannot use as given
    ModelError          a model file that is not ours, or that is damaged
    OutputError         a place that we cannot write to
    MemoryLimitError    the memory limit is below what the job needs
    NoUnknownWarning    the trimap has no unknown pixel
    InexactWarning      the matte's format changes sure pixels
    MaskWarning         a mask that is odd: nearly all, nearly nothing, or inverted
    WARNINGS            these three
    plural              a number with its noun, for messages
"""


class HDMattError(Exception):
    """Base class of hdmatt's errors.

    Messages name options as the command line does: --max-pixels is the keyword max_pixels.

    Attributes:
        message: What we got and what we need.
        hint: One thing to do about it; may be empty.
        exit_code: Of the command line: 2 for a caller's mistake, 1 for ours.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(HDMattError):
    """The caller gave us something that we cannot use."""

    exit_code = 2


class ModelError(InputError):
    """A model file or name that we cannot load."""


class OutputError(InputError):
    """A path that we cannot or must not write."""


class MemoryLimitError(InputError):
    """The memory limit is too small; the message names the smallest that would do."""


def plural(number: int, noun: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class NoUnknownWarning(UserWarning):
    """The trimap has no unknown pixel, so the matte is the trimap."""


class InexactWarning(UserWarning):
    """The matte's file format is lossy: pixels that the trimap is sure of are no longer exactly 0 or 1."""


class MaskWarning(UserWarning):
    """A mask is nearly all or nearly nothing of the picture, looks inverted, or was hardly to be found in its box."""


WARNINGS: tuple[type[UserWarning], ...] = (NoUnknownWarning, InexactWarning, MaskWarning)
