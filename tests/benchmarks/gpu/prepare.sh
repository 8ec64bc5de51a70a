#!/usr/bin/env bash
# Run in the repository's root on a machine with a package index, for a GPU machine that has none:
#
#     bash tests/benchmarks/gpu/prepare.sh [--python-version 3.12] [--with-flash-attn-4] [--compile-with PYTHON]
#                                          [--with-transformers] [--with-peers] [--before COMMIT] [--guided PACKED]
#
# Fills .gpu/ (ignored by git): the packages that training, batches, tokenization and the GPU benchmarks need beyond an image with
# PyTorch 2.11 and transformers 5.17, and a copy of these scripts. Then, on the GPU machine, in a copy of the tree with .gpu/:
#
#     bash .gpu/on_gpu.sh
#
# --with-flash-attn-4: with FlashAttention 4 and its compiler, 52 MB. Packing it takes seven minutes the first time. Where no more than 64
# MiB travel at once, there is little room for anything else; .gpu/libraries.xz can then travel before the rest, into the folder that
# KIT_LIBRARIES names on the GPU machine.
# --guided PACKED: what `guided_ablation.py corpus` packed, 38 MB, for the steps `guided` and `residual`.
# --compile-with PYTHON: a Python of that version with torch 2.11 and flash-attn-4 compiles its kernels here, without a GPU, into
# .gpu/flash4-cache.tar.xz.
set -euo pipefail
kit=$(cd "$(dirname "$0")" && pwd)
python=3.12 more="" before="" flash4=no compiler="" packed=""
while [ $# -gt 0 ]; do
    case $1 in
        --python-version) python=$2; shift 2 ;;
        --with-transformers) more="$more transformers"; shift ;;  # 12 MB: the project's own version instead of 5.17.0
        --with-flash-attn-4)
            flash4=yes
            for part in "" -libs-base -libs-core -libs-cu13; do more="$more nvidia-cutlass-dsl$part==4.8.1"; done
            more="$more flash-attn-4==4.0.0b36 quack-kernels==0.6.5 apache-tvm-ffi==0.1.15.post2 torch-c-dlpack-ext==0.1.5"
            shift ;;
        --compile-with) compiler=$2; shift 2 ;;
        --with-peers) more="$more cut-cross-entropy"; shift ;;
        --before) before=$2; shift 2 ;;
        --guided) packed=$2; shift 2 ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
done
[ -f pyproject.toml ] && [ -d rexplug ] || { echo "run this in rexplug's repository root" >&2; exit 2; }
pip=(python3 -m pip); [ -x .venv/bin/pip ] && pip=(.venv/bin/python -m pip)

# Of mosaicml's own needs these are imported by `import composer`; the rest (arrow, argcomplete, torch-optimizer, ...) is
# not. webencodings is imported by the plugin with the project's own components, such as the masking policy `random`.
# Tested without network against torch 2.11.0, transformers 5.17.0 and numpy 2.5 on Python 3.12.
names="pydantic pydantic-core typing-inspection annotated-types orjson
       mosaicml mosaicml-cli torch-optimi coolname backoff gql graphql-core questionary prompt-toolkit wcwidth
       ruamel.yaml validators importlib-metadata tenacity websockets liger-kernel webencodings $more"
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
    --platform manylinux_2_27_x86_64 --platform manylinux_2_24_x86_64 --platform manylinux1_x86_64 \
    -d .gpu/wheels "${wanted[@]}" 2> >(grep -v '^WARNING: Location' >&2)
cp "$kit"/*.sh "$kit"/*.py .gpu/
if [ "$flash4" = yes ]; then
    # One archive instead of wheels: a third smaller.
    python3 "$kit/pack.py" pack .gpu/wheels .gpu
    rm -rf .gpu/wheels
else
    rm -f .gpu/site.tar.xz .gpu/libraries.xz .gpu/libraries.json .gpu/flash4-cache.tar.xz
fi
if [ -n "$compiler" ]; then
    cache=$(mktemp -d)
    if [ -f .gpu/flash4-cache.tar.xz ]; then tar -xJf .gpu/flash4-cache.tar.xz -C "$cache"; fi
    "$compiler" "$kit/compile_flash4.py" "$cache"
    tar -cJf .gpu/flash4-cache.tar.xz --exclude='*.lock' -C "$cache" .
    rm -rf "$cache"
fi
rm -rf .gpu/before .gpu/stores .gpu/__pycache__
[ -z "$packed" ] || cp -r "$packed" .gpu/stores
if [ -n "$before" ]; then
    mkdir -p .gpu/before
    git archive "$before" rexplug plugins tests/benchmarks | tar -x -C .gpu/before
fi
echo ".gpu: $(du -sb .gpu | awk '{printf "%.1f MB", $1/1e6}')"
tree=$(git ls-files -co --exclude-standard -z | xargs -0 du -cb 2>/dev/null | tail -1 | cut -f1)
shared=0; [ -d shared ] && shared=$(du -sb shared | cut -f1)
all=$((tree + shared + $(du -sb .gpu | cut -f1)))
echo "what travels: repository $((tree / 1000000)) MB, shared/ in it $((shared / 1000000)) MB, with .gpu $((all / 1000000)) MB of 67 MB (64 MiB)"
[ "$all" -lt 67000000 ] || { echo "too much: leave something out, or send .gpu/libraries.xz before the rest" >&2; exit 1; }
