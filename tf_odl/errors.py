"""The one exception a user may see without a traceback, and what other exceptions say."""


class UserError(Exception):
    """Input the tool cannot use: the message says what is wrong and what to do about it.

    The command line prints it as a single line and exits with code 2.
    """


def reason_of(error: BaseException) -> str:
    """On one line: what the system says of a file, else how the error's message begins."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
