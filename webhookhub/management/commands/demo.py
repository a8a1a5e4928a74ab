import os
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from sales.commandkit import WithExamples
from webhookhub import demo_data


class Command(WithExamples):
    help = (
        "Writes the demo: a producer, an affiliate and a staff account, configurations, and sales whose posts "
        "have been sent to the demo receiver. Does nothing where the demo is there already. `make run` calls it."
    )
    examples = """\
  manage.py demo
  manage.py demo --receiver http://127.0.0.1:9001
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--receiver",
            default=f"http://127.0.0.1:{os.environ.get('RECEIVER_PORT') or 9000}",
            help="where the demo receiver listens (default: %(default)s)",
        )

    def handle(self, *args: Any, receiver: str, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo's passwords are known to everyone: it runs only where DEBUG is on.")
        if not demo_data.is_there():
            self.stdout.write("Writing the demo and sending its posts …")
            posts = demo_data.make(receiver)
            self.stdout.write(f"{posts} posts were sent to the demo receiver.")
        self.stdout.write(
            f"""
  webhookhub      {settings.SITE_URL}
  demo receiver   {receiver.replace("127.0.0.1", "localhost")}   shows every post, answers as you tell it
  staff admin     {settings.SITE_URL}/admin/

  producer   {demo_data.PRODUCER}
  affiliate  {demo_data.AFFILIATE}
  staff      {demo_data.STAFF}
  support    {demo_data.SUPPORTER}   (reads and reprocesses, edits nothing)
  password   {demo_data.PASSWORD}

  Ctrl-C stops everything; `make run` starts it again with the same data.
"""
        )
