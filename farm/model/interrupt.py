"""The end of a run that its user asked for."""

from __future__ import annotations


class Interrupted(BaseException):
    """A signal came that ends the farm; raised in the main thread, wherever that is.

    Its argument is the signal's number. No KeyboardInterrupt, of which click makes a status of its
    own.
    """
