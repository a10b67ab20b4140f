"""What a user can put right, said in one sentence."""


class UserError(ValueError):
    """Something the user can put right: the message is one line that says how.

    From Python it is a `ValueError`; a script prints it after "error: " and ends with status 1.
    """
