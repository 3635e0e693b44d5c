"""How a target is read and repaired.

``direct`` speaks to a Restate itself, ``dalp`` to a remote operator API in front of one.
"""
