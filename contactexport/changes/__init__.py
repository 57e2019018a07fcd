"""Which contacts changed: the change log, the end of a window, and the rows of a snapshot."""
