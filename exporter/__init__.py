"""restate-medic: watches Restate environments and repairs what a policy allows it to repair."""

__version__ = "0.1.0"
