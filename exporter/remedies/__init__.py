"""The remedies: what restate-medic can do to a Restate, each as preflight, act and check.

``remedies.catalogue.REMEDIES`` is the map; ``remediate`` is the only caller of the writing parts.
"""
