#!/usr/bin/env bash
# Runs on a GPU machine without network, in the repository's root: `bash .gpu/on_gpu.sh`. Without a GPU it goes the same way with tiny
# sizes. Each step has a time limit and a log of its own in $OUT and stops nothing else; $OUT holds at most eight files.
#
#     STEPS="machine imports correct bench train profile trainer before"   which steps
#     PYTHON=python3  KIT_TINY=1                                           another interpreter; tiny sizes on a GPU too
set -u
here=$(cd "$(dirname "$0")" && pwd); root=$PWD
python=${PYTHON:-python3}
OUT=${OUT:-$root/.gpu/out}; mkdir -p "$OUT"; export OUT
work=$(mktemp -d -t rexplug-gpu.XXXXXX); export TMPDIR=$work
began=$(date +%s)
say() { echo "[$(( $(date +%s) - began ))s] $*" | tee -a "$OUT/00-summary.txt"; }

# No venv: that python3 may be itself one, and a venv of it with --system-site-packages would not see its packages.
site=$work/site
$python -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" "$here"/wheels/*.whl \
    > "$work/pip.log" 2>&1 || say "pip install failed: $(tail -1 "$work/pip.log")"
# What `pip install -e .` would leave: the distribution's name and its entry points, so that plugins are found.
$python - "$site" <<'P' || say "could not write the distribution's metadata"
import pathlib, sys, tomllib
project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
folder = pathlib.Path(sys.argv[1], f"rexplug-{project['version']}.dist-info"); folder.mkdir(parents=True, exist_ok=True)
(folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rexplug\nVersion: {project['version']}\n")
points = "\n".join(f"{k} = {v}" for k, v in project["entry-points"]["rexplug"].items())
(folder / "entry_points.txt").write_text(f"[rexplug]\n{points}\n")
P
export PYTHONPATH=$site:$root:$root/plugins:$root/tests/benchmarks:$here PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-8}
export TORCHINDUCTOR_CACHE_DIR=$work/inductor TRITON_CACHE_DIR=$work/triton   # one compile serves all steps
export KIT_BENCH_SECONDS=${KIT_BENCH_SECONDS:-$(( 150 * ${KIT_SLOW:-1} ))} KIT_TRAINER_SECONDS=${KIT_TRAINER_SECONDS:-$(( 110 * ${KIT_SLOW:-1} ))}
export PYTORCH_CUDA_ALLOC_CONF=${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}
steps=${STEPS:-machine imports correct bench train profile trainer}
# Limits are a GPU machine's; without a GPU everything is tiny and may take longer.
slow=${KIT_SLOW:-$(nvidia-smi -L > /dev/null 2>&1 && echo 1 || echo 5)}

step() { # name seconds log command...
    local name=$1 limit=$(( $2 * slow )) log=$OUT/$3; shift 3
    case " $steps " in *" $name "*) ;; *) return ;; esac
    say "$name ..."
    timeout --signal=INT --kill-after=10 "$limit" "$@" >> "$log" 2>&1
    local code=$?
    say "$name: exit $code$([ $code = 124 ] || [ $code = 137 ] && echo " (ran past its $limit s)")"
    grep -E '^(=|FAIL|ok |RESULT|Traceback|[A-Za-z]*Error)' "$log" | tail -40 | cut -c1-220 >> "$OUT/00-summary.txt"
}
step machine 30 01-machine.log $python "$here/machine.py"
step imports 45 01-machine.log $python "$here/imports.py"
step correct 90 03-correct.log $python "$here/correct.py"
step bench ${KIT_BENCH_SECONDS} 04-bench.log $python "$here/bench.py"
step profile 75 06-profile.log $python "$here/profile_steps.py"
step train 100 05-train.log $python "$here/train.py"
step trainer ${KIT_TRAINER_SECONDS} 07-trainer.log $python "$here/beside_trainer.py"
# The same benchmark on an earlier commit, where its tree lies in .gpu/before.
if [ -d "$here/before" ]; then
    PYTHONPATH=$site:$here/before:$here/before/plugins:$here/before/tests/benchmarks \
        step before 60 04-bench.log $python "$here/before.py"
fi
say "done"
rm -rf "$work"
echo; cat "$OUT/00-summary.txt"
