"""Tests of policies: what is true for how long, and what must and must not be done then."""
