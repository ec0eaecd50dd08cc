"""The error of run folders."""


class RunFolderError(ValueError):
    """A folder that cannot take this run, or that was damaged; the message says why and what to do."""
