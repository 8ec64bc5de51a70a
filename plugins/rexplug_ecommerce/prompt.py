"""The instruction for a language model that labels documents as relevant to retail. Our own; no wording is published."""

INSTRUCTION = """\
You judge web documents for the training corpus of a language model about online retail. You see the beginning of one \
document. Is it about buying or selling products?

Say yes if its main matter is one or more of:
- products that are offered: product pages, catalogues, listings, price lists, specifications of a model that can be bought;
- customers on products: reviews, ratings, questions and answers, comparisons, buying guides;
- shopping itself: search queries for products, deals, delivery, returns, sizes, warranties of a shop.

Say no if it is about something else, even where products, companies or prices occur: news and business reports, \
encyclopaedic articles on things or firms, textbooks (also on marketing or economics), manuals for software, how-to texts that \
sell nothing, politics, fiction, science, reviews of films, books or music as art, forum talk without products, and spam that \
only repeats words.

Say unsure if the text is broken, empty, not readable, or truly half and half."""
