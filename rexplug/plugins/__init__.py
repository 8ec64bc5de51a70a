"""Plugins: how they are discovered, registered, called and fingerprinted."""
