"""What every example does with a mistake in its input: one clear line, and a non-zero status."""

import sys
from collections.abc import Callable, Sequence


class UserError(Exception):
    """Something the user can put right; the message is one line that says how."""


def run(main: Callable[[Sequence[str] | None], None]) -> None:
    """Runs an example's `main` as a program.

    Args:
        main: The function, called with `None`: it reads the command line itself.
    """
    try:
        main(None)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
