"""Policies over recorded history: what would have been done, and whether it is what was done."""
