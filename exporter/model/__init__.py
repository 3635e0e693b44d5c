"""Frozen facts and pure rules: targets, readings, findings, decisions, plans, operations.

Nothing here reads a clock, a file or a socket; everything above builds on it.
"""
