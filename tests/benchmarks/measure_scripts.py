"""Precision and recall of near-duplicate search on titles and texts of products in several scripts.

PYTHONPATH=tests python tests/benchmarks/measure_scripts.py [--verbose]
"""

import argparse
import tempfile
from pathlib import Path

from product_scripts import SETTINGS, TITLES, cases, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--verbose", action="store_true", help="print the copies that were missed and the documents dropped wrongly"
    )
    verbose = parser.parse_args().verbose
    print("| documents | language | settings | precision | recall |\n| --- | --- | --- | ---: | ---: |")
    for kind in ("titles", "texts"):
        for language in TITLES:
            for setting, options in SETTINGS.items():
                with tempfile.TemporaryDirectory() as folder:
                    precision, recall, notes = found(cases(kind, language), Path(folder), options)
                print(f"| {kind} | {language} | {setting} | {precision:.2f} | {recall:.2f} |", flush=True)
                if verbose:
                    print("\n".join(f"    {note}" for note in notes))


if __name__ == "__main__":
    main()
