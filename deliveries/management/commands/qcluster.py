import os
from typing import Any

from django.core.management.base import CommandError
from django_q.management.commands import qcluster

from deliveries.cluster import Parent
from sales.commandkit import WithExamples


class Command(WithExamples, qcluster.Command):
    help = (
        "Runs the worker: django-q2's cluster, with a clock that wakes it for what is due and a watchdog that ends "
        "it when it is frozen. Run it under a supervisor that starts it again: systemd, or `make run`."
    )
    examples = """\
  manage.py qcluster                      ends at Ctrl-C or SIGTERM, once its posts are answered
  WORKERS=4 manage.py qcluster

Exit code: 0 it was told to end, 3 it was frozen and ended itself, to be started again.
"""

    def handle(self, *args: Any, **options: Any) -> None:
        if options.get("cluster_name"):
            os.environ["Q_CLUSTER_NAME"] = options["cluster_name"]
        parent = Parent()
        parent.told_to_stop = options.get("run_once", False)
        try:
            code = parent.run()
        except RuntimeError as error:  # the sentinel's own message stands above
            raise CommandError(str(error)) from error
        if code:
            raise CommandError("The worker has ended itself, to be started anew.", returncode=code)
