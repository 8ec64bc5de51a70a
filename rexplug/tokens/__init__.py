"""Documents to token stores: tokenizer, shards, channels.

Nothing is imported here: `rexplug check` reads special tokens and needs neither numpy nor a store.
"""
