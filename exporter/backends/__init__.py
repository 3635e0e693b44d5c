"""Backends: how a target is read and repaired. ``direct`` speaks to a Restate itself."""
