"""Writes pages like those of the open web, shop pages among them, by rule and chance; no text is copied."""
