"""Tests against real Restate servers, each in a process of its own on loopback."""
