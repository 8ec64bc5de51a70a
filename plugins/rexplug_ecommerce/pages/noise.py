"""Noise of the sample pages: boilerplate, near-duplicates, spam, broken pages."""

from __future__ import annotations

from rexplug_ecommerce.pages import general_vocabulary as v
from rexplug_ecommerce.pages.catalogue import make_product
from rexplug_ecommerce.pages.chance import Chance

NAVIGATION = (
    "Home | About us | Contact | Sign in",
    "Skip to main content",
    "Menu  Search  Account  Help",
    "We use cookies to improve your experience. Accept all cookies or manage your settings.",
    "This site uses cookies. By browsing on you agree to our cookie policy.",
    "Subscribe to our newsletter for weekly updates.",
)
FOOTERS = (
    "All rights reserved. Privacy policy. Terms of use.",
    "Copyright {year} {domain}. Imprint and legal notice.",
    "Follow us on social media. Share this page.",
    "Back to top",
    "The views expressed here are those of their authors. {domain} is not liable for them.",
)
_SPAM = (
    "online casino bonus, free spins, jackpot slots, real money roulette",
    "cheap viagra and cialis, no prescription, buy pills online, fast shipping",
    "hot singles in your area, adult webcam, xxx videos, click here now",
    "payday loans, bad credit ok, make money fast, work from home, guaranteed income",
)


def with_boilerplate(text: str, domain: str, chance: Chance) -> str:
    """The text between lines as a site puts them around every page."""
    lines = chance.some(NAVIGATION, chance.below(3))
    footers = [
        line.format(year=chance.between(2012, 2025), domain=domain) for line in chance.some(FOOTERS, chance.below(3))
    ]
    return "\n".join([*lines, text, *footers])


def light_edit(text: str, chance: Chance) -> str:
    """A near-duplicate: a few words replaced by others."""
    words = text.split(" ")
    for _ in range(max(1, len(words) // 80)):
        words[chance.below(len(words))] = chance.pick(v.NOUNS)
    return " ".join(words)


def spam(chance: Chance) -> str:
    """A page of stuffed keywords, of one repeated line, or of terms of casino, pharmacy, adult or loan spam."""
    shape = chance.below(3)
    if shape == 0:
        product = make_product(chance)
        terms = [product.type, product.brand, f"cheap {product.type}", f"best {product.type}", f"buy {product.type}"]
        return ", ".join(chance.pick(terms) for _ in range(chance.between(60, 200)))
    if shape == 1:
        what, other = chance.pick(v.NOUNS), chance.pick(v.NOUNS)
        line = f"{chance.pick(v.ADJECTIVES)} {what} offers today, visit our site for {other}"
        return "\n".join([line] * chance.between(12, 50))
    trade = chance.pick(_SPAM)
    return "\n".join(
        f"{trade} {chance.pick(v.ADJECTIVES)} {chance.pick(v.NOUNS)} {chance.pick(trade.split(', '))} "
        f"{chance.pick(v.PLACES)} {chance.pick(v.NOUNS)}"
        for _ in range(chance.between(8, 25))
    )


def broken(text: str, chance: Chance) -> str:
    """The text as bad extraction leaves it: cut off, wrongly decoded, or full of markup."""
    shape = chance.below(3)
    if shape == 0:
        return text[: chance.between(10, 120)]
    if shape == 1:
        # Typographic quotes read as another encoding, twice.
        return text.replace(" the ", " â€œtheâ€� ").replace("e", "Ã©")[:3000]
    lines = text.splitlines()[:20]
    return "\n".join(
        f'<div class="c{chance.below(99)}"><span>{line}</span></div>&nbsp;&amp;{{{{item.title}}}}' for line in lines
    )
