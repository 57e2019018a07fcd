"""Manifests: signed statements about the files of exports, the keys that sign them, and their verification."""
