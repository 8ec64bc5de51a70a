"""Local, Ray and Slurm: the same corpus with every executor; retries; scripts."""

import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from separate_shards import split_of

from rexplug.corpus.curate import curate
from rexplug.corpus.filters import C4Quality, Length
from rexplug.corpus.sources import Jsonl
from rexplug.errors import DataError
from rexplug.executors import Job, run_jobs, shared_workers
from rexplug.executors.cluster import DatatroveJobStep, slurm_executor
from rexplug.io.atomic import write_json
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation, Executor, MinHash, Slurm, Tokenizer
from rexplug.tokens.tokenize import tokenize
from rexplug.tokens.tokenizer import make_tokenizer

WORDS = [f"{a}{b}{c}" for a in "bcdfg" for b in "aeiou" for c in "klmnprst"]


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(4):
        lines = [
            {"text": " ".join(WORDS[(n * 7 + j * (n + 3)) % 200] for j in range(40)) + "."}
            for n in range(number, 40, 3)
        ] + [{"text": "short"}]
        (tmp_path / "in" / f"{number}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "{\n")
    return tmp_path


@pytest.fixture
def two_pages(pages):
    """Two of the files: on a cluster, each job of each round starts a process that imports everything."""
    for number in (2, 3):
        (pages / "in" / f"{number}.jsonl").unlink()
    return pages


def curated(folder, executor, out, **options):
    (folder / out).mkdir()
    source = Jsonl(
        paths=str(folder / "in"),
        split=split_of(folder / "in"),
        filters=(Length(min_words=2), C4Quality(min_sentences=1)),
    )
    statistics = curate(
        {"web": source}, Curation(executor=executor, held_out=0.2, minhash=MinHash(buckets=2), **options), seed=3,
        corpus=folder / out / "corpus", fitted=folder / out / "fitted", progress=Silent(),
    )  # fmt: skip
    for step in statistics["sources"]["web"]["steps"]:
        del step["seconds"]
    files = {str(p.relative_to(folder / out)): p.read_bytes() for p in (folder / out).rglob("*.parquet")}
    return statistics["sources"], files


FEW_ROUNDS = {"deduplicate": "exact"}
"""On a cluster, whose rounds of jobs take seconds each: near-duplicates would be six rounds more. Local workers run those."""


@pytest.mark.slow
def test_any_number_of_local_workers(pages):
    one = curated(pages, Executor(workers=1), "one")
    assert curated(pages, Executor(workers=3), "three") == one
    assert one[0]["web"]["kept"]["documents"] > 3


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
@pytest.mark.filterwarnings("ignore")
def test_ray(two_pages):
    pages = two_pages
    # In a process of its own: Ray leaves threads and sockets behind that other tests would see.
    code = f"""
        import sys; sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parent.parent)]!r}
        from pathlib import Path
        import test_executors as here
        from rexplug.recipe.schema import Executor
        pages = Path({str(pages)!r})
        one = here.curated(pages, Executor(workers=1), "one", **here.FEW_ROUNDS)
        import ray
        starts, init = [], ray.init
        ray.init = lambda **options: starts.append(options) or init(**options)
        other = here.curated(pages, Executor(use="ray", workers=2), "ray", **here.FEW_ROUNDS)
        # One for all rounds of jobs, and none left behind.
        assert len(starts) == 1 and not ray.is_initialized()
        assert one == other
        # A Ray of the caller's is used and left as it is.
        init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        (pages / "in" / "5.jsonl.gz").write_bytes(b"no gzip")
        try:
            here.curated(pages, Executor(use="ray", workers=2, retries=0), "damaged", **here.FEW_ROUNDS)
        except here.DataError as error:
            print("REFUSED", error)
        assert len(starts) == 1 and ray.is_initialized()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"REFUSED {pages / 'in' / '5.jsonl.gz'} is damaged: Not a gzipped file" in done.stdout


SHIMS = {
    "sbatch": """
        for last; do :; done
        array=$(grep -oP '(?<=#SBATCH --array=0-)\\d+' "$last" || true)
        for a in "$@"; do case $a in --export=*) export $(echo ${a#--export=ALL,} | tr ',' ' ');; esac; done
        log=$(grep -oP '(?<=#SBATCH --output=).*' "$last" | sed 's/%A_%a/job/')
        if grep -q launch_pickled_pipeline "$last"; then
            for i in $(seq 0 $array); do SLURM_ARRAY_TASK_ID=$i SLURM_NODELIST=localhost bash "$last" >> $log 2>&1; done
        fi
        echo Submitted batch job 42
    """,
    "srun": """
        while [ "${1#-}" != "$1" ]; do [ "$1" = "-n" ] && shift; shift; done
        exec "$@"
    """,
    "scontrol": "echo localhost",
    "squeue": "true",
}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A fake cluster, whose sbatch runs the tasks of an array one after the other."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in SHIMS.items():
        path = folder / name
        path.write_text("#!/bin/bash\n" + textwrap.dedent(body))
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}")


SLURM = {"use": "slurm", "workers": 2, "slurm": {"partition": "cpu", "poll_seconds": 0.1}}


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_slurm(two_pages):
    pages = two_pages
    executor = Executor.model_validate(SLURM)
    alone = curated(pages, Executor(workers=1), "one", **FEW_ROUNDS)
    assert curated(pages, executor, "slurm", **FEW_ROUNDS) == alone
    (pages / "in" / "5.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"5.jsonl.gz is damaged: Not a gzipped file"):
        curated(pages, executor.model_copy(update={"retries": 0}), "damaged", **FEW_ROUNDS)


def tokenized(folder, executor, out):
    corpus, tokenizer = folder / "one" / "corpus", folder / "tokenizer"
    if not tokenizer.exists():
        options = Tokenizer(use="train", vocabulary=320)
        make_tokenizer(options, corpus, ["web"], seed=1, folder=tokenizer, progress=Silent())
    counts = tokenize(
        corpus, ["web"], tokenizer, {}, tokens=folder / out, executor=executor, progress=Silent()
    )  # fmt: skip
    return counts, {path.name: path.read_bytes() for path in (folder / out / "web").iterdir()}


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_tokenization_runs_where_curation_does(two_pages):
    pages = two_pages
    curated(pages, Executor(workers=1), "one")
    here = tokenized(pages, Executor(workers=1), "here")
    there = tokenized(pages, Executor.model_validate(SLURM), "there")
    assert there == here
    assert here[0]["web"]["documents"] > 3
    assert sorted(path.name for path in (pages / "there").iterdir()) == ["web"]


def test_tokenization_asks_for_the_cluster_that_the_recipe_names(tmp_path, monkeypatch):
    kept = tmp_path / "web" / "kept"
    kept.mkdir(parents=True)
    pq.write_table(pa.table({"id": ["a"], "text": ["b"], "url": ["c"], "metadata": ["{}"]}), kept / "00000.parquet")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="executor 'slurm' needs the command sbatch"):
        tokenize(
            tmp_path, ["web"], tmp_path, {}, tokens=tmp_path / "tokens", executor=Executor.model_validate(SLURM),
            progress=Silent(),
        )  # fmt: skip


def write_record(record):
    write_json(record, 1)
    return 1


def test_the_script_for_slurm(tmp_path):
    slurm = Slurm(
        partition="cpu", time="1:00:00", cpus=2, memory_per_cpu=8, qos="low", setup="source /shared/venv/bin/activate",
        arguments={"account": "retail"},
    )  # fmt: skip
    jobs = [Job(f"job {n}", write_record, (tmp_path / f"{n}.json",), tmp_path / f"{n}.json") for n in range(20)]
    made = slurm_executor(jobs, Executor(use="slurm", workers=3, slurm=slurm), tmp_path / "logs")
    script = made.get_launch_file_contents(made.get_sbatch_args(made.tasks), "srun launch")
    for line in (
        "#SBATCH --partition=cpu", "#SBATCH --time=1:00:00", "#SBATCH --cpus-per-task=2", "#SBATCH --mem-per-cpu=8G",
        "#SBATCH --qos=low", "#SBATCH --account=retail", "#SBATCH --array=0-11%3", "#SBATCH --job-name=rexplug",
        "source /shared/venv/bin/activate", "srun launch",
    ):  # fmt: skip
        assert line in script.splitlines()


def test_a_machine_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        DataError, match="executor 'slurm' needs the command sbatch: run this on a machine of the cluster"
    ):
        run_jobs([Job("x", write_record, (tmp_path / "x",), tmp_path / "x")], Executor.model_validate(SLURM),
                 logs=tmp_path, progress=Silent(), task="x")  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use": "slurm"}, "'use: slurm' needs the key 'slurm'"),
        ({"slurm": {"partition": "cpu"}}, "'slurm' goes with 'use: slurm'"),
        ({"address": "auto"}, "'address' goes with 'use: ray'"),
    ],
)
def test_options_of_another_executor_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        Executor.model_validate(options)


def flaky(folder, number, times, how):
    """Fails `times` times, then writes its record."""
    tries = folder / f"tries-{number}"
    count = len(tries.read_text()) if tries.exists() else 0
    tries.write_text("x" * (count + 1))
    if count < times:
        if how == "death":
            os._exit(9)
        raise OSError(5, "Input/output error")
    write_json(folder / f"{number}.json", number)
    return 10


def jobs(folder, times, how):
    return [Job(f"job {n}", flaky, (folder, n, times if n == 1 else 0, how), folder / f"{n}.json") for n in range(5)]


class Told(Silent):
    documents = 0

    def update(self, done, **metrics):
        self.done, self.documents = done, metrics.get("documents", self.documents)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["death", "error"])
def test_a_shard_is_tried_again_and_the_others_are_not(tmp_path, how):
    told = Told()
    run_jobs(jobs(tmp_path, 2, how), Executor(workers=2), logs=tmp_path, progress=told, task="x")
    assert (told.done, told.documents) == (5, 50)
    assert [len((tmp_path / f"tries-{n}").read_text()) for n in range(5)] == [1, 3, 1, 1, 1]
    run_jobs(jobs(tmp_path, 2, how), Executor(workers=2), logs=tmp_path, progress=told, task="x")
    assert len((tmp_path / "tries-0").read_text()) == 1


@pytest.mark.slow
def test_a_worker_that_always_dies(tmp_path):
    with pytest.raises(DataError) as caught:
        run_jobs(
            jobs(tmp_path, 99, "death"), Executor(workers=2, retries=1), logs=tmp_path, progress=Silent(), task="x"
        )
    assert str(caught.value).startswith(
        "a worker died while it worked on job 1 (killed, or out of memory: exit code 9)"
    )
    assert len((tmp_path / "tries-1").read_text()) == 2


def test_transient_errors_without_workers(tmp_path):
    run_jobs(jobs(tmp_path, 1, "error"), Executor(), logs=tmp_path, progress=Silent(), task="x")
    (tmp_path / "other").mkdir()
    with pytest.raises(OSError, match="Input/output error"):
        run_jobs(
            jobs(tmp_path / "other", 99, "error")[1:2], Executor(retries=0), logs=tmp_path, progress=Silent(), task="x"
        )


def write_process(record):
    write_json(record, os.getpid())
    return 1


def test_rounds_of_jobs_share_their_workers_inside_the_block_alone(tmp_path):
    def processes(number):
        records = [tmp_path / f"{number}-{n}.json" for n in range(4)]
        jobs = [Job(record.name, write_process, (record,), record) for record in records]
        run_jobs(jobs, Executor(workers=2), logs=tmp_path, progress=Silent(), task="x")
        return {json.loads(record.read_text()) for record in records}

    with shared_workers():
        first = processes(0)
        os.kill(min(first), signal.SIGKILL)
        os.waitid(os.P_PID, min(first), os.WEXITED | os.WNOWAIT)
        second, third = processes(1), processes(2)
    assert max(first) in second | third
    assert min(first) not in second
    assert len(first | second | third) <= 3, "the one that was killed, and two"
    assert not (first | second | third) & processes(3)


def boom():
    raise ValueError("a bug in a filter")


@pytest.mark.slow
def test_a_bug_in_a_worker_shows_its_traceback(tmp_path):
    two = [Job(f"job {n}", boom, (), tmp_path / f"{n}") for n in range(2)]
    with pytest.raises(RuntimeError, match=r"(?s)job . failed:.*in boom.*ValueError: a bug in a filter"):
        run_jobs(two, Executor(workers=2), logs=tmp_path, progress=Silent(), task="x")


def test_a_task_of_a_cluster_reads_its_own_jobs(tmp_path):
    sizes = []
    for count in (10, 1000):
        jobs = [
            Job(f"job {n}", write_record, (tmp_path / f"{count}-{n}.json",), tmp_path / f"{count}-{n}.json")
            for n in range(count)
        ]
        step = DatatroveJobStep(jobs, 5, tmp_path / f"logs-{count}")
        sizes.append(len(pickle.dumps(step)))
        pickle.loads(pickle.dumps(step))(None, rank=3, world_size=5)
        done = {int(path.stem.partition("-")[2]) for path in tmp_path.glob(f"{count}-*.json")}
        assert done == set(range(3, count, 5))
    assert sizes[1] <= sizes[0] + 10
