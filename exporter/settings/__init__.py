"""Configuration: its shape, where it comes from, and the secrets it points to."""
