"""The log of gunicorn itself. With CONTACTEXPORT_LOG_FORMAT=json its lines are objects, too."""

import logging
from typing import Any

from gunicorn.glogging import Logger

from contactexport import audit, create_app
from contactexport.context import Context


class ServerLog(Logger):  # type: ignore[misc] # gunicorn has no types
    """Each request has a line of the audit log. So gunicorn's own access log is off, unless an operator wants it."""

    def setup(self, cfg: Any) -> None:
        """Gives gunicorn's log our format. Ends the process with one line if a setting is wrong."""
        super().setup(cfg)
        context: Context = create_app().extensions["contactexport"]
        if context.settings.log_format == "json":
            for log in (self.error_log, self.access_log):
                for handler in log.handlers:
                    handler.setFormatter(audit.formatter("json"))

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Writes a line of the access log, with the values of the answer beside the text."""
        if not self.access_log_enabled:
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        fields = {"method": atoms["m"], "path": atoms["U"], "http": int(atoms["s"]), "bytes": atoms["B"]}
        text = self.cfg.access_log_format % atoms
        record = logging.LogRecord(self.access_log.name, logging.INFO, __file__, 0, text, None, None)
        setattr(record, audit.FIELDS, {"event": text, **fields, "ms": atoms["M"]})
        self.access_log.handle(record)
