"""Everything that knows datatrove: its filters, formatters and readers as components, and a word tokenizer for them."""
