from decimal import Decimal

import pytest

from rexplug_ecommerce.money import amount, currency, written


@pytest.mark.parametrize(
    ("text", "value", "code"),
    [
        ("1.299,00 €", "1299.00", "EUR"),
        ("1,299.00 USD", "1299.00", "USD"),
        ("$12.99", "12.99", "USD"),
        ("CHF 1'299.–", "1299", "CHF"),
        ("CHF 1’299.50", "1299.50", "CHF"),
        ("1\u202f299,00\u00a0€", "1299.00", "EUR"),
        ("1 299 kr", "1299", "SEK"),
        ("₹1,29,999.00", "129999.00", "INR"),
        ("49,– €", "49", "EUR"),
        ("R$ 1.234,56", "1234.56", "BRL"),
        ("١٢٩٫٩٩ ر.س", "129.99", "SAR"),
        ("１２，８００円", "12800", "JPY"),
        ("¥12,800", "12800", "JPY"),
        ("1 299,99 zł", "1299.99", "PLN"),
        ("Rs. 499", "499", "INR"),
        ("ab 19,99 EUR", "19.99", "EUR"),
    ],
)
def test_prices_as_shops_write_them(text, value, code):
    assert (amount(text), currency(text, "sv-SE")) == (Decimal(value), code)


@pytest.mark.parametrize(
    "value", [None, True, "", "free", "0", "0.00", -3, 0, [], {}, float("nan"), float("inf"), "9" * 300, 10**30]
)
def test_what_is_no_price(value):
    assert amount(value) is None


@pytest.mark.parametrize(
    ("value", "code", "price"),
    [
        ("49.9900", None, "49.99"),
        ("49.990000", "EUR", "49.99"),
        ("1299.000", "USD", "1299.00"),
        ("0.125", "EUR", "0.125"),
        ("12.500", "KWD", "12.50"),
        ("12.545", "KWD", "12.545"),
        ("1.299", "EUR", "1299"),
        ("1.290.000", "VND", "1290000"),
        (1.299, "EUR", "1.299"),
        (49.989999999999995, "EUR", "49.99"),
        (1300.0, "EUR", "1300.00"),
        (1299, "EUR", "1299"),
        ("49.00", "EUR", "49.00"),
        ("49.9", "EUR", "49.90"),
    ],
)
def test_prices_as_machines_write_them(value, code, price):
    assert written(amount(value, code)) == price


def test_currency_codes_that_are_also_words_count_only_alone():
    assert (currency("GEL"), currency("IRR"), currency("ALL")) == ("GEL", "IRR", "ALL")
    assert (currency("9.99 all in"), currency("top 12.50"), currency("all")) == (None, None, None)


def test_numbers_are_prices():
    assert (amount(1299), amount(12.5), amount("1299.5")) == (Decimal(1299), Decimal("12.5"), Decimal("1299.5"))


@pytest.mark.parametrize(
    ("symbol", "language", "code"),
    [
        ("$", "en", "USD"),
        ("$", "en-AU", "AUD"),
        ("¥", "zh_CN", "CNY"),
        ("kr", "da", "DKK"),
        ("kr.", "nb-NO", "NOK"),
        ("kr", "en", None),
    ],
)
def test_a_symbol_of_several_currencies_depends_on_the_language(symbol, language, code):
    assert currency(symbol, language) == code
