"""gunicorn reads this from the folder it is started in: its own lines look as ours do. The rest is in its command.

It does not read the settings: those are for the workers, which a SIGHUP starts anew with what is written then.
"""

from pathlib import Path

import environ

_env = environ.Env()
_env.read_env(Path(__file__).parent / ".env")
_formatter = "webhookhub.logs.Json" if _env.str("LOG_FORMAT", "plain") == "json" else "webhookhub.logs.Plain"

logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"ours": {"()": _formatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
    "root": {"level": "INFO", "handlers": []},  # the settings make it in each worker
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False}},
}
