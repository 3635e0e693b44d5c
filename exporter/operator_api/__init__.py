"""The only code that calls a remote operator recovery API: a DALP platform, another restate-medic.

``told`` makes facts of a doctor answer, ``errors`` says what an error answer means, ``client``
makes the calls. What is done with either is left to ``doctor`` and ``remedies``.
"""

from exporter.operator_api.client import Acknowledgement, OperatorApi
from exporter.operator_api.errors import LostOutcomeError
from exporter.operator_api.told import Told, told_of

__all__ = ["Acknowledgement", "LostOutcomeError", "OperatorApi", "Told", "told_of"]
