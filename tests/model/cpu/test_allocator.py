"""Freed memory is kept for the next tensors."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from rexplug.model.cpu.allocator import keep_freed_memory
assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)  # 64 MiB are 16,384 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_a_block_of_the_same_size_costs_no_page_faults():
    # In a process of its own: the setting is for all of it.
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    first, second = map(int, done.stdout.split())
    assert first > 30, "even where pages are huge"
    assert second < first / 10
