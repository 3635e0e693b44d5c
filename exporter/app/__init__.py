"""The wiring: builds everything once from a configuration, for daemon and commands alike."""
