"""Runs: stages with fingerprints, which are skipped, resumed or redone.

Nothing is imported here, so that `rexplug check` loads `preflight` without the modules that train.
"""
