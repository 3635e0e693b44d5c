"""Sockets, TLS and headers: how an application is served, whatever it says."""
