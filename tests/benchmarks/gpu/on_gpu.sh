#!/usr/bin/env bash
# Runs on a GPU machine without network, in the repository's root: `bash .gpu/on_gpu.sh`, or, where the packages are installed,
# `bash tests/benchmarks/gpu/on_gpu.sh`. Without a GPU it runs the same steps with tiny sizes. Each step has a time limit and a log of its
# own in $OUT and stops nothing else; $OUT holds at most eight files. The exit code is 1 if a step or a part of one failed.
#
#     STEPS="machine imports bench trainer bits engine train correct profile residual evaluate ranks guided before"   which steps
#     PYTHON=python3  KIT_TINY=1                                           another interpreter; tiny sizes on a GPU too
set -u
here=$(cd "$(dirname "$0")" && pwd); root=$PWD
python=${PYTHON:-python3}
OUT=${OUT:-$root/.gpu/out}; mkdir -p "$OUT"; export OUT
work=$(mktemp -d -t rexplug-gpu.XXXXXX); export TMPDIR=$work
began=$(date +%s); failed=0
say() { echo "[$(( $(date +%s) - began ))s] $*" | tee -a "$OUT/00-summary.txt"; }
fail() { failed=1; say "$*"; }

# No venv: that python3 may be itself one, and a venv of it with --system-site-packages would not see its packages.
site=$work/site; mkdir "$site"
if [ -f "$here/site.tar.xz" ]; then
    KIT_LIBRARIES=${KIT_LIBRARIES:-} $python "$here/pack.py" unpack "$here" "$site" > "$work/pack.log" 2>&1 \
        || fail "unpacking failed: $(tail -1 "$work/pack.log")"
elif compgen -G "$here/wheels/*.whl" > /dev/null; then
    $python -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" "$here"/wheels/*.whl \
        > "$work/pip.log" 2>&1 || fail "pip install failed: $(tail -1 "$work/pip.log")"
fi
# What `pip install -e .` would leave: the distribution's name and its entry points, so that plugins are found.
$python - "$site" <<'P' || fail "could not write the distribution's metadata"
import importlib.metadata, pathlib, sys, tomllib
try:
    importlib.metadata.distribution("rexplug")
except importlib.metadata.PackageNotFoundError:
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    folder = pathlib.Path(sys.argv[1], f"rexplug-{project['version']}.dist-info"); folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rexplug\nVersion: {project['version']}\n")
    points = "\n".join(f"{k} = {v}" for k, v in project["entry-points"]["rexplug"].items())
    (folder / "entry_points.txt").write_text(f"[rexplug]\n{points}\n")
P
# A .pth file would add the folder of FlashAttention 4's compiler if this were a real site. KIT_PATH: folders with more packages.
more=${KIT_PATH:-}; [ -d "$site/nvidia_cutlass_dsl" ] && more=$site/nvidia_cutlass_dsl/dsl_packages:$more
export PYTHONPATH=$site:$root:$root/plugins:$root/tests/benchmarks:$here:$more PYTHONUNBUFFERED=1
export FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED=1 FLASH_ATTENTION_CUTE_DSL_CACHE_DIR=$work/flash4
mkdir -p "$work/flash4"; [ -f "$here/flash4-cache.tar.xz" ] && tar -xJf "$here/flash4-cache.tar.xz" -C "$work/flash4"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export TORCHINDUCTOR_CACHE_DIR=$work/inductor TRITON_CACHE_DIR=$work/triton   # one compile serves all steps
export PYTORCH_CUDA_ALLOC_CONF=${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}
# Limits are a GPU machine's. Without a GPU everything is tiny: it may take longer, and a second thread would only wait for the first.
if nvidia-smi -L > /dev/null 2>&1; then slow=${KIT_SLOW:-1} threads=8; else slow=${KIT_SLOW:-5} threads=1; fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads}
export KIT_BENCH_SECONDS=${KIT_BENCH_SECONDS:-$(( 150 * slow ))} KIT_TRAINER_SECONDS=${KIT_TRAINER_SECONDS:-$(( 150 * slow ))}
# `guided` takes minutes and data of its own, `before` another tree: they run only when they are asked for.
steps=${STEPS:-machine imports bench train correct bits engine residual profile trainer evaluate ranks}

step() { # name seconds log command...
    local name=$1 limit=$2 log=$OUT/$3; shift 3
    case " $steps " in *" $name "*) ;; *) return ;; esac
    say "$name ..."
    local before code parts
    before=$(cat "$log" 2> /dev/null | wc -l)
    timeout --signal=INT --kill-after=10 "$limit" "$@" >> "$log" 2>&1
    code=$?
    tail -n "+$(( before + 1 ))" "$log" > "$work/step.log"
    parts=$(grep -c '^FAIL ' "$work/step.log")
    [ "$code" = 0 ] && [ "$parts" = 0 ] || failed=1
    say "$name: exit $code$([ $code = 124 ] || [ $code = 137 ] && echo " (ran past its $limit s)"), $parts parts failed"
    grep -E '^(=|FAIL|ok |RESULT|Traceback|[A-Za-z]*Error)' "$work/step.log" | tail -40 | cut -c1-220 >> "$OUT/00-summary.txt"
}
step machine $(( 30 * slow )) 01-machine.log $python "$here/machine.py"
step imports $(( ${KIT_IMPORTS_SECONDS:-45} * slow )) 01-machine.log $python "$here/imports.py"
step bench "$KIT_BENCH_SECONDS" 04-bench.log $python "$here/bench.py"
# Directly after the benchmark, whose numbers it compares with.
step trainer $(( KIT_TRAINER_SECONDS + 25 * slow )) 07-trainer.log $python "$here/beside_trainer.py"
step bits $(( ${KIT_BITS_SECONDS:-150} * slow )) 05-train.log $python "$here/bits.py"
step engine $(( ${KIT_ENGINE_SECONDS:-100} * slow )) 05-train.log $python "$here/engine.py"
step evaluate $(( ${KIT_EVALUATE_SECONDS:-70} * slow )) 05-train.log $python "$here/evaluate_on_gpu.py"
step train $(( ${KIT_TRAIN_SECONDS:-100} * slow )) 05-train.log $python "$here/train.py"
step correct $(( ${KIT_CORRECT_SECONDS:-90} * slow )) 03-correct.log $python "$here/correct.py"
step profile $(( ${KIT_PROFILE_SECONDS:-75} * slow )) 03-correct.log $python "$here/profile_steps.py"
step residual $(( ${KIT_RESIDUAL_SECONDS:-120} * slow )) 05-train.log $python "$here/residual.py"
step ranks $(( ${KIT_RANKS_SECONDS:-120} * slow )) 05-train.log $python "$here/several_gpus.py"
export KIT_GUIDED_SECONDS=${KIT_GUIDED_SECONDS:-$(( 235 * slow ))}
step guided $(( KIT_GUIDED_SECONDS + 20 )) 05-train.log $python "$here/guided.py" ${KIT_GUIDED_OPTIONS:-}
# The same benchmark on an earlier commit, if its tree is in .gpu/before.
if [ -d "$here/before" ]; then
    PYTHONPATH=$site:$here/before:$here/before/plugins:$here/before/tests/benchmarks \
        step before $(( 60 * slow )) 04-bench.log $python "$here/before.py"
fi
[ $failed = 0 ] && say "done, nothing failed" || say "done, with failures"
rm -rf "$work"
echo; cat "$OUT/00-summary.txt"
exit $failed
