"""The bodies and codes of the HTTP interfaces, shared by server and client. No I/O."""
