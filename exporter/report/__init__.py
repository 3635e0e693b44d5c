"""The report about a night: what was wrong, done and held, and what still waits for a person.

``tell`` makes the one body from what the ledger knows; the renderers only write it down.
"""
