from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConfigurationsConfig(AppConfig):
    name = "configurations"
    verbose_name = _("Webhook configurations")

    def ready(self) -> None:
        from . import audit, checks, encryption  # noqa: F401  the checks register themselves with Django

        encryption.check_keys()
        audit.begin()
