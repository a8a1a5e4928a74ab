"""What `sales` tells whoever listens. It knows no listener.

Each is sent inside the database transaction that wrote the rows, with a list: of one for a save, of a batch
for an import. A receiver that raises rolls that transaction back.
"""

from django.dispatch import Signal

# It carries `changes`, a list of sales.models.StatusChange.
transaction_status_changed = Signal()
# It carries `carts`, a list of sales.models.AbandonedCart that were just created.
cart_abandoned = Signal()
# It carries `changes`, a list of sales.subscriptions.SubscriptionChange.
subscription_changed = Signal()
