"""Runs: stages, fingerprints, what can be skipped and what must be done again.

Nothing is imported here, so that `rexplug check` loads `preflight` and not what trains.
"""
