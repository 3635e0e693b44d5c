"""The lab: real Restate servers and real workers on loopback, started and stopped by code.

Tests, benchmarks, the demo and `make run` share it. It knows nothing of restate-medic: it makes
an environment, and lets a person act on it and look at it from outside.

Everything blocks and belongs into the main thread; code of an event loop calls what may take long
(`call`, `wait_until`) through `asyncio.to_thread`.
"""

from lab.ports import free_ports, is_listening
from lab.process import Child, clean_environment
from lab.restate import Restate
from lab.server import VERSIONS, RestateServer, Version, find_binary
from lab.spec import ServiceSpec
from lab.waiting import wait_until
from lab.worker import ScriptWorker, Worker

__all__ = [
    "VERSIONS",
    "Child",
    "Restate",
    "RestateServer",
    "ScriptWorker",
    "ServiceSpec",
    "Version",
    "Worker",
    "clean_environment",
    "find_binary",
    "free_ports",
    "is_listening",
    "wait_until",
]
