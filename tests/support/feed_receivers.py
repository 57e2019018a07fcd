"""What a receiver of a feed has and does."""

import json
from pathlib import Path
from typing import Any

from contactexport.context import Context
from contactexport.exports.models import FtpTarget
from contactexport.manifests.signing import PublicKeys
from contactexport.manifests.store import public_key_set
from contactexport.manifests.verify import Expected, Report, verify
from tests.support.exporting import PASSWORD


def by_ftp(port: int) -> dict[str, Any]:
    """The settings of a feed that goes to a host of `ftp_hosts.serving`."""
    return {"distribution_method": "ftp", "ftp": FtpTarget("127.0.0.1", port, "user", None), "password": PASSWORD}


def verified(context: Context, folder: Path, **expected: Any) -> Report:
    """What `contactexport verify` finds, with the keys of the service."""
    return verify(folder, PublicKeys.read(json.dumps(public_key_set(context))), Expected(**expected))
