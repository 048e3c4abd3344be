"""The exceptions raised on purpose, and the form of a message.

A message says where, what, what was not done, and the ways on. Imports the standard library only.
"""


class AutocardError(Exception):
    """Something a person can put right: bad settings, an unreadable template, a broken record."""


class SettingsError(AutocardError, ValueError):
    """A setting that cannot be meant as it stands. Raised before training starts."""


class RecordError(AutocardError):
    """A record that cannot be read: says which file and which leaf."""


class CardError(AutocardError):
    """A card that autocard will not touch: says where and why. Nothing was written."""


class NotWrittenError(AutocardError):
    """A file that could not be written. What was there before is still there."""


class MeterError(AutocardError):
    """A figure of somebody else's meter that cannot be had or read: says why. Nothing was written."""


class UnavailableError(Exception):
    """An ordinary answer to "what is this fact?": it cannot be had here, and this is why.

    Not a defect: the reason goes to `RunRecord.missing` and nothing is reported.
    """


class ImpossibleFigureError(AutocardError):
    """A figure that cannot be was measured or worked out; it is left out of the record."""
