"""A version of the schema that has landed never changes: databases have been made by it."""

import hashlib
from pathlib import Path

import pytest

VERSIONS = Path(__file__).parents[2] / "contactexport" / "db" / "migrations" / "versions"
LANDED = {
    "0001_exports_and_contacts.sql": "283b2e05340d47270dacc6f8dfa3e4a36045e097bc44fd1dcea29054e8cddc47",
    "0002_teams_and_limits.sql": "cfc8b1ed07045707f49e90cf41db257a351e3785cbd2c47c05fdabe2ed345fe0",
    "0003_creations_and_names.sql": "c5d5b6694c4b02192b61ecb46dbcb7763fdf5669406f8c05884e29ddb9d4db83",
    "0004_oauth_clients.sql": "4ae580def6ee4ce0b1e010f59c410d1ad7bdf009b7846cf2eeadbf64fc61c2bc",
    "0005_whole_windows.sql": "39e594e4a24f606d52f02aa84325e174dd24232d8e46c9061923f5bd4209480d",
}


@pytest.mark.parametrize("name", LANDED)
def test_the_text_of_a_landed_migration_never_changes(name: str):
    assert hashlib.sha256((VERSIONS / name).read_bytes()).hexdigest() == LANDED[name]
