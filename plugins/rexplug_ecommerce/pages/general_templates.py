"""Sentences of general pages: openers, clauses and tails that combine freely.

Slots: `N`/`Ns` noun of the topic and its plural, `n`/`ns` any noun, `A` adjective of the topic, `a` any adjective,
`V` `Vd` `Vg` verb of the topic (plain, past, -ing), `v` `vd` `vg` any verb, `r` adverb, `P` person, `S` surname,
`L` place, `O` organisation, `Y` year, `M` month, `D` number, `T` the topic. Persons, places, organisations and years
are few per page, so that a page mentions the same ones throughout. Runs of text without a slot are short: repeated phrases
would make long pages repetitive.
"""

from __future__ import annotations

from rexplug_ecommerce.pages.grammar import templates
from rexplug_ecommerce.pages.word_lists import entries

OPENERS = templates("""
in {Y},
by {M} {Y},
for most {ns},
despite the {a} {n},
near {L},
according to {P},
after a {a} {n},
without any {n},
like every {a} {n},
before the {a} {n} of {L},
unlike {a} {ns},
with {a} {ns} and little {n},
among {ns},
{r},
even so,
to {v} the {n},
when {ns} {vd} {ns},
because {a} {Ns} {vd} the {n},
as {S} {r} {vd},
while {vg} a {n},
at the {O},
as the {n} of {L} {vd},
in {a} {ns},
under such {a} {ns},
from {Y} onwards,
whatever the {n},
seen from {L},
in {S}'s {n},
beyond the {A} {N},
""")

CLAUSES = templates("""
the {A} {N} {r} {vd} a {a} {n}
{a} {Ns} {vd} {ns} and {ns}
{P} {vd} the {A} {N}
the {O} {r} {vd} {A} {Ns}
each {N} {Vd} a {a} {N}
{ns} {vd} every {A} {N}
{S} {vd} that {a} {Ns} {Vd} {r}
no {n} of {L} {vd} the {N}
the {n} of {a} {Ns} {vd} many {ns}
a {A} {N} {r} {Vd} near {L}
{D} {ns} {vd} {A} {Ns}
{vg} a {N} {vd} the {a} {n}
{a} {ns} {r} {Vd} the {N}
{T} {vd} a {a} {n}
few {ns} {Vd} or {vd} {a} {Ns}
it is {a} to {V} {a} {Ns}
the {N} and its {A} {N} {vd} {ns}
{S} {Vd} {D} {Ns} {r}
one {a} {N} {vd} another
the {n} between {N} and {N} {vd} {a} {ns}
{Vg} {Ns} is {r} {a}
{a} {ns} of {T} {vd} {S}
its {A} {Ns} {vd} the {O}
two {Ns}, {a} and {A}, {vd} their {n}
a {n} {r} {vd} how {Ns} {Vd}
{L} {vd} {a} {Ns}
some {ns} {v} {Ns}, others {v} {a} {ns}
the {a} {N} never {Vd} its {n}
nobody {vd} the {A} {n}
{P} and {P} {r} {vd} one {N}
""")

TAILS = templates("""
and {vd} the {n}
, which {vd} {a} {ns}
, though {ns} {r} {vd} it
, {vg} {ns} and {a} {Ns}
until {S} {vd} the {n}
, a {a} {n} that {vd} {L}
but not the {a} {n}
, as {ns} of {Y} {v}
, where {a} {Ns} {Vd}
in spite of {a} {ns}
, so {ns} {vd} more {ns}
for {D} {ns}
, even if a {N} {Vd}
through {a} {n} and {n}
, or {vd} some {A} {N}
with {a} {ns}
, so that {Ns} {v} {ns}
in {M} {Y}
than the {n} of {S}
against the {a} {ns} of {L}
, {r} {vg} its {n}
, and {P} {vd} it {r}
, leaving {ns} to {v} {a} {ns}
outside {L}
, whose {n} {vd} {ns}
in every {n}
, while the {O} {vd} a {a} {n}
""")

QUOTES = templates("""
"{c1}," said {P}, who {vd} the {n} in {Y}.
"We {vd} {a} {Ns}," {S} told the {O}. "{c1}."
"{c1}," a {n} near {L} {vd}.
{P} {vd} the {n}: "{c1}, and {c2}."
"To {V} a {N} is {a}," said {P}.
""")

HEADLINES = templates("""
{O} {vd} {a} {Ns} near {L}
{L}: {A} {Ns} {v} {ns}
{P} and the {a} {n} of {T}
Why {a} {Ns} {v} {L}
The {A} {N} that {vd} {L}
{a} {n} for {L} as {Ns} {V}
{D} {Ns} and one {a} {n}
A {a} {n} of {T}
""")

HOWTO_TITLES = templates("""
How to {V} a {A} {N}
{D} ways to {V} {a} {Ns}
A {a} guide to {Vg} {Ns}
{T} for beginners: {Vg} your first {N}
How do I {v} a {A} {N}?
""")

STEPS = templates("""
{v} the {A} {N} {r} until it is {a}.
take {D} {Ns} and {v} each {n}.
never {V} a {a} {N} before you {v} the {n}.
if the {N} is {a}, {v} it and {V} it again.
{V} the {N} with a {A} {N}.
wait {D} minutes while the {a} {N} {r} settles.
ask a {n} to {v} the {N} and the {n}.
check that no {N} is {a} or {a}.
write down the {n} of every {A} {N}.
{r} {v} what the {n} left, then {V} the {N}.
""")

POSTS = templates("""
I {vd} my {N} in {L} and now the {n} is {a}. Any {n}?
same {n} here, {S} said to {V} the {A} {N} first
my {n} {r} {vd} {D} {Ns}, so do not {v} the {a} ones
thanks! {Vg} the {N} {vd} it for me
@{S} did you {v} the {N} or only the {n}?
I doubt it, {a} {Ns} {r} {v} {ns}
has anyone {vd} a {A} {N} since {Y}?
{r} this. The {O} has a {a} {n} on {Vg} {Ns}.
not sure about the {n}, but {L} has {D} {A} {Ns}
please {v} the older {n} about {Ns} before you post
""")

SECTIONS = entries(
    """
    Origins, Etymology, Early years, Later development, Description, Methods, Critics, Reception, Influence,
    Regional variants, Controversy, Practice, Theory, Modern use, Notable examples, Decline, Revival, Legacy,
    Relation to other fields, Notes
    """
)

DEFINITIONS = templates("""
The {A} {N} of {L} is a {a} {n} in {T}, first {vd} by {P} in {Y}.
{A} {Ns} are {a} {ns} that {v} the {n}; the term was {vd} at the {O} in {Y}.
In {T}, a {A} {N} is any {N} that {r} {vd} a {n}.
{P} ({Y}) {vd} the {n} of {A} {Ns} at {L}.
""")
