"""Policies: loaded with positions, compiled once, decided by pure rules.

Files are read in ``load`` and nowhere else; nothing here speaks to a network or a database.
"""
