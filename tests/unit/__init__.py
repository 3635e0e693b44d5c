"""Tests of one part each, without a real Restate."""
