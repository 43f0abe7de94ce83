"""What a simulation finds."""


class Found(AssertionError):
    """The broker has broken a promise; the message says which one, and to whom."""
