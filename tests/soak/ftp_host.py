"""An FTP host as a separate process that can be killed: `python -m tests.soak.ftp_host FOLDER PORT`.

The user is `user`. The password comes from FTP_PASSWORD.
"""

import logging
import os
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, ThrottledDTPHandler
from pyftpdlib.log import config_logging
from pyftpdlib.servers import FTPServer

BYTES_PER_SECOND = 2_000_000  # so that faults hit some of the uploads


def main(folder: str, port: str) -> None:
    config_logging(level=logging.WARNING)
    authorizer = DummyAuthorizer()
    authorizer.add_user("user", os.environ["FTP_PASSWORD"], folder, perm="elradfmwMT")
    slow = type("Slow", (ThrottledDTPHandler,), {"read_limit": BYTES_PER_SECOND})
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer, "dtp_handler": slow})
    FTPServer(("127.0.0.1", int(port)), handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
