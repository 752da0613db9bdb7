"""Runs from the files of other programs: what a source states, checked against the task, and stored as a run."""
