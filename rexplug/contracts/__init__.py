"""Tries components on made-up data and reports each breach of a contract; `rexplug.testing` has the public names."""
