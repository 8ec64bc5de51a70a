"""Token stores from documents: tokenizer, shards, channels."""

from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore
from rexplug.tokens.tokenize import close, encode, fit_scorers, tokenize
from rexplug.tokens.tokenizer import make_tokenizer

__all__ = ["SpecialTokens", "TokenStore", "close", "encode", "fit_scorers", "make_tokenizer", "tokenize"]
