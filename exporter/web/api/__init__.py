"""The HTTP interface for programs and key holders: operator, read and control routes."""
