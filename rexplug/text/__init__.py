"""What a word is, in any script, for every part that asks."""
