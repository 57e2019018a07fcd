"""The files of exports: the CSV dialect, the writer, the row index, and the storage folder."""
