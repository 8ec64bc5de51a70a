"""The evaluator of product search on a generated catalogue: a quick check without any data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from rexplug import EvaluationContext, EvaluationResult, Evaluator, FineTuning, Quantity, RetrievalCollection
from rexplug_ecommerce.pages.catalogue import Product, make_product
from rexplug_ecommerce.pages.chance import Chance

# Keys of the sample pages begin with twice their seed; this is far from those.
_KEY = 2**40
_ATTRIBUTES = ("brand", "colour", "material", "size", "line")


class ProductSearch(Evaluator):
    """Search a generated catalogue with queries as shoppers write them.

    A query names a product type and one to three attributes. A product of that type is graded by how many of the
    attributes it has: 3 all of them, 2 all but one (of at least two), 1 the type alone; other products 0. Synthetic:
    it shows whether a model learned the attributes of the sample pages, not how good it is on a real shop.
    """

    name: ClassVar[str] = "ecommerce.product_search"

    products: Annotated[Quantity, Field(gt=0)] = 400
    """Size of the catalogue."""
    queries: Annotated[Quantity, Field(gt=0)] = 100
    """Number of queries."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Decides which products and queries are drawn; every model gets the same."""
    pairs: Annotated[Quantity, Field(ge=0)] = 1250
    """How many pairs of a query and a matching product, of another catalogue, to fine-tune on before searching, a fifth of them to
    choose by; 0 for none."""
    tuning: FineTuning = FineTuning(steps=50, seeds=1, max_tokens=40)
    """The fine-tune before searching."""

    def collection(self) -> RetrievalCollection:
        """The catalogue, queries and grades; they depend on the options alone."""
        chance = Chance(_KEY + self.seed, 0)
        catalogue = {f"product-{number:06d}": make_product(chance) for number in range(self.products)}
        queries: dict[str, str] = {}
        relevance: dict[str, dict[str, int]] = {}
        for number in range(self.queries):
            target = catalogue[f"product-{chance.below(self.products):06d}"]
            attributes = chance.some(_ATTRIBUTES, chance.between(1, 3))
            grades = {key: grade(target, product, attributes) for key, product in catalogue.items()}
            key = f"query-{number:05d}"
            queries[key] = query_text(target, attributes, chance)
            relevance[key] = {product: value for product, value in grades.items() if value}
        return RetrievalCollection(
            name="GeneratedProductSearch",
            corpus={key: product_text(product) for key, product in catalogue.items()},
            queries=queries,
            relevance=relevance,
            synthetic=True,
            training=self._training(set(queries.values())),
        )

    def _training(self, queries: set[str]) -> list[tuple[str, str]]:
        chance = Chance(_KEY + self.seed, 1)
        pairs = []
        for _ in range(self.pairs):
            product = make_product(chance)
            query = query_text(product, chance.some(_ATTRIBUTES, chance.between(1, 3)), chance)
            if query not in queries:
                pairs.append((query, product_text(product)))
        return pairs

    def test_texts(self) -> Mapping[str, str]:
        """The texts of the products and queries."""
        return self.collection().texts()

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """The main metric is `ndcg_at_10`."""
        return context.retrieval(self.collection(), self.tuning)


def product_text(product: Product) -> str:
    """Title and attributes of a product on one line."""
    measures = ", ".join(f"{what} {value}" for what, value in product.measures)
    return f"{product.title}, {product.colour}, {product.size}. Material: {product.material}. {measures}."


def query_text(target: Product, attributes: list[str], chance: Chance) -> str:
    """A query of attribute values and the product type, in lower case, e.g. `navy trail running shoe norvale`."""
    values = [getattr(target, attribute) for attribute in attributes]
    place = chance.below(len(values) + 1)
    return " ".join([*values[:place], target.type, *values[place:]]).lower()


def grade(target: Product, product: Product, attributes: list[str]) -> int:
    """Relevance grade, 0 to 3, of `product` for a query for `target` that names these of its attributes."""
    if product.type != target.type:
        return 0
    missing = sum(getattr(product, attribute) != getattr(target, attribute) for attribute in attributes)
    if missing == 0:
        return 3
    return 2 if missing == 1 and len(attributes) > 1 else 1
