"""Who may come in: keys, passwords, sessions, and how often one may fail."""
