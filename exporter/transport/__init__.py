"""HTTP for everybody: clients, limits on time and size, one error taxonomy.

Whatever goes wrong becomes a ``CallFailedError`` with a bounded reason and a sentence that holds no
secret. What a status or a body *means* is left to the adapters (``restate_api`` and its like).
"""

from exporter.transport.address import authorization
from exporter.transport.answer import Answer, clean_text
from exporter.transport.client import HttpClient, TokenProvider, Transport, default_ssl_context
from exporter.transport.failure import BrokenAnswerError

__all__ = [
    "Answer",
    "BrokenAnswerError",
    "HttpClient",
    "TokenProvider",
    "Transport",
    "authorization",
    "clean_text",
    "default_ssl_context",
]
