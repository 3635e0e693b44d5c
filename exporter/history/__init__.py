"""History: what each round read and rested on, kept compactly, so that it can be replayed."""
