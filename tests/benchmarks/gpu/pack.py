"""Packs wheels for a machine without a package index, as small as they get: `prepare.sh` packs, `on_gpu.sh` unpacks.

    python pack.py pack WHEELS FOLDER      # FOLDER/site.tar.xz, and FOLDER/libraries.xz if there are libraries over 30 MB
    python pack.py unpack FOLDER SITE      # SITE is then a folder for PYTHONPATH

A wheel is a zip file, which compresses every file for itself and weakly: flash-attn-4 with its compiler is 100 MB of wheels and 55 MB
here. The large libraries share code and so are one stream; it takes minutes to make and is kept if the wheels have not changed.
"""

import io
import json
import lzma
import os
import sys
import tarfile
import zipfile
from pathlib import Path

LARGE = 30_000_000
NOT_NEEDED = ("/3rdparty/", "/include/", "/iket/", "/stubs/", "/tests/", "_static.a")
"""Parts of names of files that nothing on the machine reads: sources, headers, tests, a profiler."""


def compressed(data: bytes) -> bytes:
    """xz with a filter for x86 code and a dictionary larger than any library."""
    filters = [
        {"id": lzma.FILTER_X86},
        {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 256 << 20, "nice_len": 273},
    ]
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)


def pack(wheels: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    large: list[tuple[Path, str]] = []
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as files:
                for info in files.infolist():
                    name = info.filename
                    data_folder, inside, rest = name.partition(".data/purelib/")
                    target = rest if inside and "/" not in data_folder else name
                    if info.is_dir() or ".data/" in target or any(part in f"/{target}" for part in NOT_NEEDED):
                        continue
                    if info.file_size > LARGE:
                        large.append((wheel, name))
                        continue
                    entry = tarfile.TarInfo(target)
                    entry.size, entry.mode = info.file_size, 0o644
                    archive.addfile(entry, io.BytesIO(files.read(info)))
    (folder / "site.tar.xz").write_bytes(compressed(buffer.getvalue()))
    index, libraries = folder / "libraries.json", folder / "libraries.xz"
    wanted = sorted({wheel.name for wheel, _ in large})
    if not large:
        index.unlink(missing_ok=True)
        libraries.unlink(missing_ok=True)
    elif not (libraries.is_file() and index.is_file() and json.loads(index.read_text())["wheels"] == wanted):
        contents: list[bytes] = []
        for wheel, name in large:
            with zipfile.ZipFile(wheel) as files:
                contents.append(files.read(name))
        libraries.write_bytes(compressed(b"".join(contents)))
        sizes = [[name, len(content)] for (_, name), content in zip(large, contents, strict=True)]
        index.write_text(json.dumps({"wheels": wanted, "files": sizes}))


def unpack(folder: Path, site: Path) -> None:
    with tarfile.open(folder / "site.tar.xz") as archive:
        archive.extractall(site, filter="data")
    index = folder / "libraries.json"
    if index.is_file():
        with lzma.open(Path(os.environ.get("KIT_LIBRARIES") or folder, "libraries.xz")) as stream:
            for name, size in json.loads(index.read_text())["files"]:
                path = site / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(stream.read(size))
                path.chmod(0o755)


if __name__ == "__main__":
    {"pack": pack, "unpack": unpack}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
