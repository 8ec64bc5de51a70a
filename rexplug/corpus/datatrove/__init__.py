"""datatrove's filters, formatters and readers as components that a recipe names, and a word tokenizer for them."""
