"""The end of a training that tests stop."""


class Stopped(Exception):
    """What stands for a process that is killed."""
