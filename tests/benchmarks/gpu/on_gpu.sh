#!/usr/bin/env bash
# Runs on a GPU machine without network, in the repository's root: `bash .gpu/on_gpu.sh`, or, where the packages are installed,
# `bash tests/benchmarks/gpu/on_gpu.sh`. Without a GPU it runs the same steps with tiny sizes. Each step has a time limit and a log of its
# own in $OUT and stops nothing else; $OUT holds at most eight files. The exit code is 1 if a step or a part of one failed.
#
#     STEPS="machine imports correct bench train profile trainer before"   which steps
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
if compgen -G "$here/wheels/*.whl" > /dev/null; then
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
# KIT_PATH: folders with more packages, as a FlashAttention that the image lacks.
export PYTHONPATH=$site:$root:$root/plugins:$root/tests/benchmarks:$here:${KIT_PATH:-} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export TORCHINDUCTOR_CACHE_DIR=$work/inductor TRITON_CACHE_DIR=$work/triton   # one compile serves all steps
export PYTORCH_CUDA_ALLOC_CONF=${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}
# Limits are a GPU machine's. Without a GPU everything is tiny: it may take longer, and a second thread would only wait for the first.
if nvidia-smi -L > /dev/null 2>&1; then slow=${KIT_SLOW:-1} threads=8; else slow=${KIT_SLOW:-5} threads=1; fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads}
export KIT_BENCH_SECONDS=${KIT_BENCH_SECONDS:-$(( 150 * slow ))} KIT_TRAINER_SECONDS=${KIT_TRAINER_SECONDS:-$(( 110 * slow ))}
steps=${STEPS:-machine imports correct bench train profile trainer}

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
step imports $(( 45 * slow )) 01-machine.log $python "$here/imports.py"
step bench "$KIT_BENCH_SECONDS" 04-bench.log $python "$here/bench.py"
step train $(( 100 * slow )) 05-train.log $python "$here/train.py"
step correct $(( 90 * slow )) 03-correct.log $python "$here/correct.py"
step profile $(( 75 * slow )) 06-profile.log $python "$here/profile_steps.py"
step trainer "$KIT_TRAINER_SECONDS" 07-trainer.log $python "$here/beside_trainer.py"
# The same benchmark on an earlier commit, if its tree is in .gpu/before.
if [ -d "$here/before" ]; then
    PYTHONPATH=$site:$here/before:$here/before/plugins:$here/before/tests/benchmarks \
        step before $(( 60 * slow )) 04-bench.log $python "$here/before.py"
fi
[ $failed = 0 ] && say "done, nothing failed" || say "done, with failures"
rm -rf "$work"
echo; cat "$OUT/00-summary.txt"
exit $failed
