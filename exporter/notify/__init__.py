"""Messages to people: queued, delivered to webhooks, retried for a while, given up in the end.

``Notifier.send`` never waits and never fails; what became of a message is counted and logged. A
webhook's URL is a secret: it is in no error, log line, metric or ledger entry. A message may arrive
twice when an answer is lost.
"""

from exporter.notify.channel import Patience
from exporter.notify.notifier import Destination, Notifier
from exporter.notify.webhook import split_webhook

__all__ = ["Destination", "Notifier", "Patience", "split_webhook"]
