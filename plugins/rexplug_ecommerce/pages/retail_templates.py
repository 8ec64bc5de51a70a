"""Sentences of shop pages.

Slots: `brand` `line` `model` `type` `colour` `size` `material` `use` `category` `price` of the product; `what` and
`value` one of its measures; `feature` and `part` one of many; `n` `a` `v` `vd` `r` general words; `S` a buyer.
"""

from __future__ import annotations

from rexplug_ecommerce.pages.grammar import templates

PITCHES = templates("""
The {brand} {line} is a {type} in {colour} for {use}.
{brand} made the {line} {type} from {material}, with a {feature} and a {feature}.
With a {what} of {value}, the {line} {r} meets the {n} of {use}.
Thanks to its {feature}, the {type} is {a} and {a}.
{material} keeps the {brand} {line} {a} even after a {a} {n}.
Choose {size} if you want a {a} fit; the {what} is {value}.
A {feature} and a {feature} make the {model} a {a} companion for {use}.
If {use} is your {n}, the {model} by {brand} will {v} you.
Our {category} team {r} {vd} the {line} and liked its {feature}.
The {colour} version of the {model} has the same {what}: {value}.
Every {type} from {brand} is checked by hand before it ships.
You get {value} of {what}, a {feature} and a {a} price.
""")

SHOP = templates("""
In stock, free delivery over {D}. Add to cart.
Price: ${price}. In stock. Add to basket now.
Was ${price}, now on sale. Buy now and pay later.
${price} including VAT. Ships within {D} days. Free returns.
Only {D} left in stock at ${price}. Add to wishlist.
Order today: ${price}, {D} day returns and a 2 year warranty.
""")

REVIEWS = templates("""
bought the {line} in {colour} for {use}, {r} happy with it
the {feature} is {a}, but the {what} could be better
{size} fits as expected, the {material} feels {a}
after {D} weeks the {model} still looks new
my {brand} arrived with a {a} {n}, customer service sent a new one
{brand} says {value} {what} and I measured the same
would buy the {line} again at ${price}
returned it, the {colour} looked {a} and the {part} was missing
good {type}, {a} value, fast delivery
compared with my old {type} this one is {a}
""")

QUESTIONS = templates("""
Q: What is the {what} of the {model}? A: It is {value}.
Q: Which material is the {line} made of? A: {material}.
Q: Does the {brand} {line} come in {colour}? A: Yes, in {colour}.
Q: Is it good for {use}? A: Yes, the {feature} was made for that.
Q: Does the {model} fit the {part}? A: Yes, any {part} of the {line} series fits.
Q: What size should I take? A: Most buyers take {size}.
""")

CATEGORY_INTRO = templates("""
Shop {category} from {brand} and more. Compare price, size, colour and material.
All {category}: find the {a} {type} for {use}.
Our {a} choice of {category} with free returns and fast delivery.
{category} on sale: {D} products in stock, sorted by {n}.
""")

SPEC_NOTES = templates("""
The {what} was measured on the {model} at {D} degrees and is {value}.
Parts for the {line} are {a}: the {part} wears {r} under {a} {n}.
Before you {v} the {part}, {v} the {n} and check the {what}.
{brand} {vd} the {feature} in the {a} version, so older {n} does not apply.
Do not use a {part} of another series: the {material} is {a} there.
For {use} we advise a {a} {n} and a new {part} every {D} months.
A {a} {n} will {r} {v} the {feature}.
When the {part} is {a}, {v} it and {v} the {feature} {r}.
As given at the top of this page, the {model} has a {what} of {value}.
Remember that this {brand} {type} is made of {material}.
Compatible with {part} and {part}, not with the {a} {n}.
The {n} of the {feature} {vd} in {Y}.
""")
