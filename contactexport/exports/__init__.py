"""One export from the request to the delivered file."""
