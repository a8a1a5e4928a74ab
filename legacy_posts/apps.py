from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LegacyPostsConfig(AppConfig):
    name = "legacy_posts"
    verbose_name = _("Former system")

    def ready(self) -> None:
        from . import receivers  # noqa: F401  they register themselves with the signals
