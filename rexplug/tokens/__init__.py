"""Token stores from documents: tokenizer, shards, channels.

Nothing is imported here: `rexplug check` reads special tokens and needs neither numpy nor a store.
"""
