"""Writes shop pages: product, review, category, and long specification and compatibility pages."""

from __future__ import annotations

from rexplug_ecommerce.pages import retail_templates as t
from rexplug_ecommerce.pages.catalogue import Product, make_product
from rexplug_ecommerce.pages.categories import CATEGORIES
from rexplug_ecommerce.pages.chance import Chance
from rexplug_ecommerce.pages.general import page_words
from rexplug_ecommerce.pages.grammar import Words, capital, fill


def product_words(product: Product, chance: Chance) -> list[Words]:
    """The words of a product page: one set per measure, so that a measure stays together with its value."""
    base = page_words(chance)
    base |= {
        "brand": (product.brand,),
        "line": (product.line,),
        "model": (product.model,),
        "type": (product.type,),
        "colour": (product.colour,),
        "size": (product.size,),
        "material": (product.material,),
        "use": (product.use,),
        "category": (product.category.name,),
        "price": (product.price,),
        "feature": product.features,
        "part": product.category.parts,
    }
    return [{**base, "what": (what,), "value": (value,)} for what, value in product.measures]


def _say(templates: tuple[tuple[str, tuple[str, ...]], ...], words: list[Words], chance: Chance) -> str:
    return capital(fill(chance.pick(templates), chance.pick(words), chance))


def table(product: Product, chance: Chance) -> list[str]:
    """The attributes in one of three layouts of shops."""
    rows = [
        ("Brand", product.brand),
        ("Series", product.line),
        ("Model number", product.model),
        ("Colour", product.colour),
        ("Size", product.size),
        ("Material", product.material),
        *((capital(what), value) for what, value in product.measures),
        ("Category", product.category.name),
    ]
    layout = chance.below(3)
    if layout == 0:
        return [f"{key}: {value}" for key, value in rows]
    if layout == 1:
        return [f"{key} | {value}" for key, value in rows]
    return ["; ".join(f"{key} {value}" for key, value in rows)]


def product_page(chance: Chance) -> str:
    """Title, pitch, price, attributes, and sometimes reviews and questions."""
    product = make_product(chance)
    words = product_words(product, chance)
    lines = [
        f"{product.title}, {product.colour}, {product.size}",
        " ".join(_say(t.PITCHES, words, chance) for _ in range(chance.between(3, 7))),
        _say(t.SHOP, words, chance),
        *table(product, chance),
    ]
    if chance.happens(60):
        lines += [f"- {capital(feature)}" for feature in product.features]
    lines += [_say(t.PITCHES, words, chance) for _ in range(chance.between(0, 4))]
    if chance.happens(50):
        lines += [_say(t.QUESTIONS, words, chance) for _ in range(chance.between(1, 4))]
    if chance.happens(40):
        lines += ["Customer reviews", *(_say(t.REVIEWS, words, chance) for _ in range(chance.between(2, 5)))]
    return "\n".join(lines)


def review_page(chance: Chance) -> str:
    """Reviews of one product."""
    product = make_product(chance)
    words = product_words(product, chance)
    lines = [f"Reviews of {product.title} ({product.colour})", _say(t.PITCHES, words, chance)]
    for _ in range(chance.between(5, 14)):
        lines.append(f"{chance.between(1, 5)} out of 5 stars, {chance.pick(words[0]['P'])}, verified purchase")
        lines.append(f"{_say(t.REVIEWS, words, chance)}. {_say(t.REVIEWS, words, chance)}.")
    return "\n".join(lines)


def category_page(chance: Chance) -> str:
    """A list of offers of one category."""
    category = chance.pick(CATEGORIES)
    first = make_product(chance, category)
    lines = [category.name, _say(t.CATEGORY_INTRO, product_words(first, chance), chance)]
    for _ in range(chance.between(8, 24)):
        product = make_product(chance, category)
        what, value = chance.pick(product.measures)
        lines.append(f"{product.title}, {product.colour}, {product.material}, {what} {value}, ${product.price}")
    lines.append("Add to cart. Sort by price. Filter by brand, colour and size.")
    return "\n".join(lines)


def specification_page(chance: Chance, characters: int = 0) -> str:
    """A long manual of one product, at least `characters` long.

    The attributes are at the top; later sections name them again, thousands of words away.
    """
    product = make_product(chance)
    words = product_words(product, chance)
    heads = [f"{product.title}: specifications and compatibility", *table(product, chance), f"Price: ${product.price}"]
    lines = list(heads)
    length = sum(map(len, lines))
    target = max(characters, chance.between(9_000, 25_000))
    section = 0
    while length < target:
        section += 1
        start = len(lines)
        part = chance.pick(product.category.parts)
        if section % 3 == 1:
            lines.append(f"\nSection {section}: {part} and {chance.pick(product.features)}")
            for _ in range(chance.between(3, 6)):
                lines.append(" ".join(_say(t.SPEC_NOTES, words, chance) for _ in range(chance.between(2, 5))))
        elif section % 3 == 2:
            lines.append(f"\nSection {section}: compatibility of the {part}")
            for _ in range(chance.between(6, 14)):
                other = make_product(chance, product.category)
                what, value = chance.pick(other.measures)
                fits = "fits" if other.line == product.line else "does not fit"
                lines.append(
                    f"{other.brand} {other.line} {other.model} ({other.type}, {other.material}, {what} {value}): "
                    f"{part} of the {product.model} {fits}"
                )
        else:
            lines.append(f"\nSection {section}: questions about the {product.brand} {product.line}")
            lines += [_say(t.QUESTIONS, words, chance) for _ in range(chance.between(2, 5))]
            lines.append(" ".join(_say(t.PITCHES, words, chance) for _ in range(chance.between(1, 3))))
        length += sum(map(len, lines[start:]))
    lines.append("\nAt a glance, as at the top of this page")
    lines += table(product, chance)
    return "\n".join(lines)
