"""The table or view `contact`."""
