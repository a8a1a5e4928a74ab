#!/usr/bin/env python
"""Django's command line."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhookhub.settings")
    from webhookhub import start

    start.command_line(sys.argv)
