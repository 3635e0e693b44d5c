"""The only path to a write: preflight, reserve, act, verify, finish."""
