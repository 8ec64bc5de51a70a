"""Plugins: discovery, registration, calls and fingerprints."""
