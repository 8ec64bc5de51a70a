"""The integration of datatrove: its readers and filters as components, its word tokenizers."""
