"""The use cases, one module and one verb each."""
