"""A released version of the schema never changes, because databases were created by it."""

import hashlib
from pathlib import Path

VERSIONS = Path(__file__).parents[2] / "contactexport" / "db" / "migrations" / "versions"
LANDED = {
    "0001_exports_and_contacts.sql": "283b2e05340d47270dacc6f8dfa3e4a36045e097bc44fd1dcea29054e8cddc47",
    "0002_teams_and_limits.sql": "cfc8b1ed07045707f49e90cf41db257a351e3785cbd2c47c05fdabe2ed345fe0",
    "0003_creations_and_names.sql": "c5d5b6694c4b02192b61ecb46dbcb7763fdf5669406f8c05884e29ddb9d4db83",
    "0004_oauth_clients.sql": "4ae580def6ee4ce0b1e010f59c410d1ad7bdf009b7846cf2eeadbf64fc61c2bc",
    "0005_whole_windows.sql": "39e594e4a24f606d52f02aa84325e174dd24232d8e46c9061923f5bd4209480d",
    "0006_notification_secrets.sql": "1d7f806ddc46e6a86c0b7793a95574e68d4bebfa6700c7e8f331081895dbdb69",
    "0007_ftp_hosts.sql": "f19e4902a710fa4b8ac2c0cd8209b098bcd66ccc80af3311cf644b7d52591a54",
    "0008_turns.sql": "c2905ccb8d64217971eae870ee0b0d347957d772c76987025de2ea3abe6248f8",
    "0009_installation.sql": "18c29f1b3b931195ea12064d1bbddedffcbba1fb6219d92129f49c01ced510fa",
}


def test_text_of_landed_migration_never_changes():
    assert {name: hashlib.sha256((VERSIONS / name).read_bytes()).hexdigest() for name in LANDED} == LANDED
