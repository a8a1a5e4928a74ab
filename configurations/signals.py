"""What `configurations` tells whoever listens, inside the database transaction that changed the row."""

from django.dispatch import Signal

# config: the WebhookConfig, already saved in its new state
configuration_enabled = Signal()
configuration_disabled = Signal()  # by its owner or by us
configuration_removed = Signal()
