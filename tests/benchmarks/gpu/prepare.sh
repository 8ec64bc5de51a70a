#!/usr/bin/env bash
# Run in the repository's root on a machine with a package index, for a GPU machine that has none:
#
#     bash tests/benchmarks/gpu/prepare.sh [--python-version 3.12] [--with-transformers] [--with-datatrove] [--with-peers] [--before COMMIT]
#
# Fills .gpu/ (ignored by git): the wheels that training, batches, tokenization and the GPU benchmarks need beyond an image with
# PyTorch 2.11 and transformers 5.17, and a copy of these scripts. Then, on the GPU machine, in a copy of the tree with .gpu/:
#
#     bash .gpu/on_gpu.sh
set -euo pipefail
kit=$(cd "$(dirname "$0")" && pwd)
python=3.12 more="" before=""
while [ $# -gt 0 ]; do
    case $1 in
        --python-version) python=$2; shift 2 ;;
        --with-transformers) more="$more transformers"; shift ;;  # 12 MB: the project's own version instead of 5.17.0
        --with-datatrove) more="$more datatrove loguru humanize dill multiprocess pyahocorasick zstandard"; shift ;;
        --with-peers) more="$more cut-cross-entropy"; shift ;;
        --before) before=$2; shift 2 ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
done
[ -f pyproject.toml ] && [ -d rexplug ] || { echo "run this in rexplug's repository root" >&2; exit 2; }
pip=(python3 -m pip); [ -x .venv/bin/pip ] && pip=(.venv/bin/python -m pip)

# Of mosaicml's own needs these are imported by `import composer`; the rest (arrow, argcomplete, torch-optimizer, ...) is
# not. Tested without network against torch 2.11.0, transformers 5.17.0 and numpy 2.5 on Python 3.12.
names="pydantic pydantic-core typing-inspection annotated-types orjson
       mosaicml mosaicml-cli torch-optimi coolname backoff gql graphql-core questionary prompt-toolkit wcwidth
       ruamel.yaml validators importlib-metadata tenacity websockets liger-kernel $more"
wanted=()
for name in $names; do
    # the versions that the repository's own constraints name
    pinned=$(grep -iE "^${name//[-_.]/[-_.]}==" constraints.txt || true)
    wanted+=("${pinned:-$name}")
done
mkdir -p .gpu/wheels
rm -f .gpu/wheels/*.whl
env -u PIP_CONSTRAINT PIP_CONSTRAINT=/dev/null "${pip[@]}" download -q --only-binary=:all: --no-deps \
    --implementation cp --python-version "$python" \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
    --platform manylinux_2_27_x86_64 --platform manylinux1_x86_64 \
    -d .gpu/wheels "${wanted[@]}" 2> >(grep -v '^WARNING: Location' >&2)
cp "$kit"/*.sh "$kit"/*.py .gpu/
rm -rf .gpu/before
if [ -n "$before" ]; then
    mkdir -p .gpu/before
    git archive "$before" rexplug plugins tests/benchmarks | tar -x -C .gpu/before
fi
echo "wheels: $(ls .gpu/wheels | wc -l), $(du -cb .gpu/wheels/*.whl | tail -1 | awk '{printf "%.1f MB", $1/1e6}'); .gpu in all: $(du -sb .gpu | awk '{printf "%.1f MB", $1/1e6}')"
tree=$(git ls-files -co --exclude-standard -z | xargs -0 du -cb 2>/dev/null | tail -1 | cut -f1)
shared=0; [ -d shared ] && shared=$(du -sb shared | cut -f1)
all=$((tree + shared + $(du -sb .gpu | cut -f1)))
echo "what travels: repository $((tree / 1000000)) MB, shared/ in it $((shared / 1000000)) MB, with .gpu $((all / 1000000)) MB of 67 MB (64 MiB)"
[ "$all" -lt 67000000 ] || { echo "too much: leave something out" >&2; exit 1; }
