"""The built-in word lists of attribute values; the lists of the sample pages are added to them."""

from __future__ import annotations

from rexplug_ecommerce.pages.categories import CATEGORIES
from rexplug_ecommerce.pages.word_lists import entries

COLOURS = entries(
    """
    black, white, grey, gray, silver, gold, rose gold, red, blue, navy, navy blue, royal blue, sky blue, light
    blue, dark blue, green, olive, olive green, forest green, mint, teal, turquoise, aqua, cyan, yellow,
    mustard, orange, coral, peach, pink, hot pink, purple, violet, lavender, lilac, magenta, burgundy, maroon,
    brown, tan, beige, cream, ivory, khaki, charcoal, bronze, champagne, multicolor, multicolour, multicolored,
    transparent, indigo, fuchsia, crimson, camel, nude, dark green, light green, light pink, dark grey, dark
    gray, light grey, light gray, off white
    """
)
MATERIALS = entries(
    """
    cotton, polyester, nylon, spandex, lycra, elastane, wool, merino wool, cashmere, silk, linen, denim,
    leather, genuine leather, faux leather, pu leather, vegan leather, suede, canvas, fleece, velvet,
    microfiber, microfibre, rubber, silicone, plastic, abs plastic, pvc, tpu, eva, polycarbonate, acrylic,
    carbon fiber, carbon fibre, aluminum, aluminium, aluminum alloy, aluminium alloy, steel, stainless steel,
    carbon steel, cast iron, titanium, brass, copper, zinc alloy, glass, tempered glass, ceramic, porcelain,
    wood, solid wood, bamboo, oak, walnut, plywood, mdf, rattan, foam, memory foam, latex, mesh, neoprene,
    gore-tex, rayon, viscose, satin, chiffon, lace, paper, cardboard, marble, maple, rosewood, mahogany, basswood,
    ebony, spruce, cedar, poplar, birch, pine, teak, rubberwood, beech, cowhide, deerskin, moosehide, sheepskin,
    alloy, zinc, metal, iron, jersey, acetate, abs, tr90, fur, faux fur, flannel, tweed, corduroy, organza, tulle,
    polyurethane, vinyl, stoneware, resin, granite, quartz, wicker, jute, hemp, graphite, fiberglass, kevlar,
    carbon, nitrile, melamine, pewter, sterling silver, earthenware, patent leather, veggie suede, terry, muslin
    """
)
SIZES = entries(
    """
    one size, xxs, xs, xl, xxl, xxxl, 2xl, 3xl, 4xl, 5xl, 2x-large, 3x-large, extra large, extra small, x-large, xx-large, x-small,
    king size, queen size, twin size, full size, travel size, family size, plus size, california king, super
    king
    """
)
CATEGORY_WORDS = entries(
    """
    shoes, sneakers, boots, sandals, running shoes, hiking boots, dress, skirt, jeans, trousers, shorts,
    leggings, shirt, t-shirt, hoodie, sweater, jacket, coat, socks, gloves, hat, cap, scarf, belt, wallet,
    handbag, backpack, suitcase, watch, necklace, earrings, bracelet, sunglasses, phone case, charger,
    headphones, earbuds, headset, speaker, keyboard, mouse, monitor, laptop, tablet, router, printer, camera,
    lens, tripod, television, projector, vacuum cleaner, blender, toaster, kettle, coffee maker, coffee machine,
    frying pan, saucepan, knife set, mug, tumbler, water bottle, towel, pillow, duvet, blanket, mattress, sheet
    set, curtain, rug, lamp, desk, office chair, bookshelf, sofa, drill, screwdriver, wrench, shampoo,
    conditioner, moisturizer, moisturiser, sunscreen, lipstick, mascara, perfume, toothbrush, toothpaste,
    vitamins, dog food, cat food, dog bed, leash, bicycle, helmet, tent, sleeping bag, yoga mat, dumbbell,
    treadmill, fishing rod, puzzle, board game, building blocks, doll, stroller, diapers, stockings, wetsuit,
    ballet flat, tea, coffee, cereal
    """
)


_EVERYDAY = {"natural", "rose", "clear", "stone", "smoke", "sand", "bone"}
"""Values of the sample pages that are everyday words elsewhere."""


def _all(field: str) -> tuple[str, ...]:
    return tuple(term for category in CATEGORIES for term in getattr(category, field) if term not in _EVERYDAY)


BUILT_IN: dict[str, tuple[str, ...]] = {
    "brand": _all("brands"),
    "colour": COLOURS + _all("colours"),
    "material": MATERIALS + _all("materials"),
    "size": SIZES,
    "category": CATEGORY_WORDS + _all("types") + tuple(category.name for category in CATEGORIES),
}
"""Attribute -> terms that are recognised without any option."""
