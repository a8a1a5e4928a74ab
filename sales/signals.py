"""What `sales` tells whoever listens. It knows no listener.

The first three are sent inside the database transaction that wrote the rows, with a list: of one for a save, of a
batch for an import. A receiver that raises rolls that transaction back.

The last two ask each app for its own part of what is held on one buyer; sales.privacy says how they are answered.
"""

from django.dispatch import Signal

# It carries `changes`, a list of sales.models.StatusChange.
transaction_status_changed = Signal()
# It carries `carts`, a list of sales.models.AbandonedCart that were just created.
cart_abandoned = Signal()
# It carries `changes`, a list of sales.subscriptions.SubscriptionChange.
subscription_changed = Signal()
# It carries `buyer`, a sales.privacy.Buyer; who hears it returns a list of sales.privacy.Held.
buyer_asked = Signal()
# It carries `buyer` and `by`, a text that says on whose word; who hears it returns {"app.model": rows changed}.
buyer_redacted = Signal()
