"""The ledger: every operation and its budget in one transaction, on SQLite and PostgreSQL alike.

``gateway`` is the way in; ``store`` writes, ``reads`` reads, ``standing`` remembers.
"""
