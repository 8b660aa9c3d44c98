"""The base of every error that its reader can act on."""


class LabError(Exception):
    """Something the user gave cannot be used. The message says what was found, what was expected and what to do.

    The commands print it without a traceback and exit with 2; with 1 where the next try may meet with no fault.
    """

    exit_status = 2
