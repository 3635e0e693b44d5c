"""The long-running process: what `restate-medic run` runs."""
