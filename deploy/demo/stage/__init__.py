"""What the demonstration is played on: a real Restate, two workers, the daemon, and a timeline.

The order of events is `story.py`'s; `lab` starts and stops the processes.
"""
