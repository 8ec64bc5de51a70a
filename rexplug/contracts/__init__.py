"""Tries components on made-up data and tells each breach of the contract of their kind; `rexplug.testing` has the public names."""
