"""The exceptions raised on purpose, and the form of a message.

A message says where, what, what was not done, and the ways on. Imports the standard library only.
"""


class AutocardError(Exception):
    """Something a person can correct: bad settings, an unreadable template, a broken record."""


class SettingsError(AutocardError, ValueError):
    """A setting with a value that cannot be used. Raised before training starts."""


class RecordError(AutocardError):
    """A record that cannot be read: names the file and the leaf."""


class CardError(AutocardError):
    """A card that autocard will not change: names the place and the reason. Nothing was written."""


class NotWrittenError(AutocardError):
    """A file that could not be written. What was there before is still there."""


class MeterError(AutocardError):
    """A figure of another meter that cannot be had: gives the reason. Nothing was written."""


class UnavailableError(Exception):
    """A fact cannot be had here, for the reason given: an ordinary answer of a capture.

    Not a defect: the reason goes to `RunRecord.missing` and nothing is reported.
    """


class ImpossibleFigureError(AutocardError):
    """A figure is impossible, measured or computed; it is left out of the record."""
