"""The one exception a user may see without a traceback."""


class UserError(Exception):
    """Input the tool cannot use: the message says what is wrong and what to do about it.

    The command line prints it as a single line and exits with code 2.
    """
