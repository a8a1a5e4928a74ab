"""The entry point of the web server: `gunicorn webhookhub.wsgi`."""

import os

from webhookhub import start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhookhub.settings")
application = start.wsgi_application()
