"""Where commands are carried out: with the local configuration and ledger, or by a daemon."""
