from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DocsTabConfig(AppConfig):
    name = "docs_tab"
    verbose_name = _("Documentation")
