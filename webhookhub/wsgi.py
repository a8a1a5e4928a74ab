"""The entry point of the web server: `gunicorn webhookhub.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhookhub.settings")
application = get_wsgi_application()
