"""How products are spoken of, and what other text is made of; with the product signals the ground of the weak labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from rexplug_ecommerce.lexicons import BUILT_IN
from rexplug_ecommerce.signals import signals

_PITCH = re.compile(
    r"\b(?:(?:perfect|ideal|great|suitable|designed|made) (?:for|to|with)|features?(?= (?:an?|the|\d))|featuring|crafted|"
    r"made (?:of|from|out of)|durable|durability|lightweight|stylish|sleek|elegant|versatile|premium|high[- ]quality|"
    r"comfort(?:able|ably)?|cozy|easy to (?:use|clean|install|assemble|carry|wear|store)|adjustable|waterproof|"
    r"(?:water|scratch|heat|stain|slip)[- ](?:resistant|proof)|machine wash(?:able)?|portable|includes?|included|"
    r"compatible with|fits|one size|(?:set|pack|pair|box) of|addition to (?:any|your)|gifts?|BPA[- ]free|long[- ]lasting|"
    r"upgrade|elevate|enjoy|ensur(?:es|ing)|provid(?:es|ing)|perfectly|"
    r"(?:in|to|for|with|of|on|keep|add|give|make) your)\b",
    re.IGNORECASE,
)
_CUSTOMER = re.compile(
    r"\b(?:works? (?:great|well|fine|perfectly)|i (?:bought|purchased|ordered|returned|own|love (?:this|these|it|them))|"
    r"(?:this|the) (?:product|item)|(?:highly|would) recommend|well made|(?:good|great) (?:quality|product|value)|"
    r"worth (?:the|every|it)|for the price|"
    r"(?:does|do|is|are|will|can|would|has) (?:it|this|these|they|the \w+)(?= [^.!\n]{2,80}\?)|"
    r"what (?:size|colou?r|material|are the dimensions)|how (?:tall|wide|big|heavy|long (?:is|are)|many)(?= [^.!\n]{2,80}\?)|"
    r"comes? (?:with|in|assembled)|batter(?:y|ies)|reviews?)\b",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"\b(?:he|she|his|her|hers|him|himself|herself|was|were|had|been|said|says|became|born|died|century|government|war|"
    r"president|according|university|party|army|church|law|theory|chapter|published|released|developed by|founded|film|films|"
    r"movie|movies|novel|album|plot|actors?|director|audience|story|characters?|comedy|drama|performances?|equation|"
    r"function|servers?|error|code|config|file|users?|protocol|specification|proposal|import|return|python|docker|"
    r"population|species|district|country|nation|world|people|political|economic|social|consumers?|marketers?|"
    r"example|company|companies|however|therefore|thus|who|whom|whose)\b",
    re.IGNORECASE,
)
_YEAR = re.compile(r"\b1[5-9]\d\d\b")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class ShopLanguage:
    """Words of a text, and counts per 100 of them."""

    words: int
    pitch: float
    customer: float
    merchandise: float
    offer: float
    other: float

    @property
    def balance(self) -> float:
        """What speaks for retail less what speaks against it, per 100 words; the weights are set by hand."""
        for_it = self.pitch + 1.5 * self.customer + 0.8 * self.merchandise + 0.6 * self.offer
        return for_it - 0.9 * self.other


def shop_language(text: str) -> ShopLanguage:
    """Count in `text`."""
    words = len(_WORD.findall(text))
    per = 100 / max(1, words)
    return ShopLanguage(
        words=words,
        pitch=per * len(_PITCH.findall(text)),
        customer=per * len(_CUSTOMER.findall(text)),
        merchandise=per * len(_merchandise().findall(text)),
        # Numbers and code hold what looks like measures and model numbers; beyond some density it is no offer any more.
        offer=min(signals(text).density, 12.0),
        other=per * (len(_OTHER.findall(text)) + len(_YEAR.findall(text))),
    )


@cache
def _merchandise() -> re.Pattern[str]:
    terms = {term.lower() for field in ("category", "material", "colour", "size") for term in BUILT_IN[field]}
    longest_first = sorted(terms, key=lambda term: (-len(term), term))
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})s?\b", re.IGNORECASE)
