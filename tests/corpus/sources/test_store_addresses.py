"""Files in stores whose paths are not the end of their addresses: HDFS, SFTP and FTP, Azure, web servers."""

import io
import json
from typing import ClassVar
from urllib.parse import urlsplit

import fsspec
import pytest
from fsspec.spec import AbstractFileSystem

from rexplug.components import Shard
from rexplug.corpus.sources import Jsonl
from rexplug.errors import DataError

CONTENT = b"".join(json.dumps({"text": f"page {number} of the shop"}).encode() + b"\n" for number in range(3))


class HostStore(AbstractFileSystem):
    """A store whose paths lack the host (HDFS, SFTP, FTP); each host has its own files."""

    protocol = "test-host"
    hosts: ClassVar[dict[str, dict[str, bytes]]] = {}

    def __init__(self, host, **options):
        super().__init__(**options)
        self.files = self.hosts.setdefault(host, {})

    @classmethod
    def _strip_protocol(cls, path):
        return urlsplit(path).path.rstrip("/")

    @staticmethod
    def _get_kwargs_from_urls(path):
        return {"host": urlsplit(path).hostname}

    def ls(self, path, detail=True, **options):
        """The entries of a folder, or the file itself."""
        path = self._strip_protocol(path)
        if path in self.files:
            return [self._entry(path)]
        below = {
            path + "/" + name.removeprefix(path + "/").split("/")[0]
            for name in self.files
            if name.startswith(path + "/")
        }
        if not below:
            raise FileNotFoundError(path)
        return [self._entry(name) for name in sorted(below)]

    def _entry(self, name):
        is_file = name in self.files
        return {
            "name": name,
            "size": len(self.files[name]) if is_file else 0,
            "type": "file" if is_file else "directory",
        }

    def _open(self, path, mode="rb", **options):
        if path not in self.files:
            raise FileNotFoundError(path)
        return io.BytesIO(self.files[path])


class AccountStore(HostStore):
    """A store whose addresses name an account behind the container, which paths lack (Azure)."""

    protocol = "test-account"

    @classmethod
    def _strip_protocol(cls, path):
        parts = urlsplit(path)
        return f"{parts.username}{parts.path}".rstrip("/") if parts.scheme else path.rstrip("/")


class WebStore(HostStore):
    """A store whose paths are addresses and whose listings lack sizes (web servers)."""

    protocol = "test-web"

    @classmethod
    def _strip_protocol(cls, path):
        return path.rstrip("/")

    def ls(self, path, detail=True, **options):
        """The entries, without their sizes."""
        return [{**entry, "size": None} for entry in super().ls(path)]

    def info(self, path, **options):
        """The entry of a file, with its size, or of a folder."""
        super().ls(path)
        return self._entry(path)


@pytest.mark.parametrize(
    ("store", "root"),
    [
        (HostStore, "test-host://one.example:8020"),
        (AccountStore, "test-account://container@one.example"),
        (WebStore, "test-web://one.example"),
    ],
)
def test_a_file_is_opened_by_its_own_address(store, root):
    fsspec.register_implementation(store.protocol, store, clobber=True)
    address = f"{root}/data/web/a.jsonl"
    filesystem, path = fsspec.core.url_to_fs(address)
    filesystem.files[path] = CONTENT
    for paths in (f"{root}/data/web", f"{root}/data/", f"{root}/data/*/*.jsonl", address):
        source = Jsonl(paths=paths)
        source.check()
        assert source.stamps() == {address: [len(CONTENT), filesystem.ukey(path)]}
        assert [document.text for document in source.documents(Shard(0, 1))] == [
            "page 0 of the shop", "page 1 of the shop", "page 2 of the shop",
        ]  # fmt: skip


def test_a_password_in_an_address_stays_out_of_documents_and_messages():
    fsspec.register_implementation(HostStore.protocol, HostStore, clobber=True)
    HostStore.hosts["shop.example"] = {"/data/a.jsonl": CONTENT}
    source = Jsonl(paths="test-host://me:secret@shop.example/data")
    first = next(iter(source.documents(Shard(0, 1))))
    assert first.metadata["place"] == "test-host://me:***@shop.example/data/a.jsonl:0"
    assert list(source.stamps()) == ["test-host://me:***@shop.example/data/a.jsonl"]
    del HostStore.hosts["shop.example"]["/data/a.jsonl"]
    with pytest.raises(
        DataError, match=r"^test-host://me:\*\*\*@shop.example/data/a.jsonl was there when the run began and is gone; "
    ):
        next(iter(source.documents(Shard(0, 1))))


def test_a_file_of_unknown_size_is_refused():
    class Endless(WebStore):
        protocol = "test-endless"

        def _entry(self, name):
            return {**super()._entry(name), "size": None}

    fsspec.register_implementation(Endless.protocol, Endless, clobber=True)
    Endless.hosts["shop.example"] = {"test-endless://shop.example/a.jsonl": CONTENT}
    message = r"^the server does not say how many bytes test-endless://shop.example/a.jsonl has; download it$"
    with pytest.raises(DataError, match=message):
        Jsonl(paths="test-endless://shop.example/a.jsonl").check()
