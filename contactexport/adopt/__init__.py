"""Your own table of contacts: what it is, what is made of it, and whether every change of it is logged."""
