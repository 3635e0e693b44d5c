"""SIGKILL at random moments, on real servers: what the ledger says must stay what happened."""
