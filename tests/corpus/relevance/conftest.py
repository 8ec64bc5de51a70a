"""A local server with OpenAI's chat protocol, which fails on demand."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rexplug import LabellingContext


class Endpoint:
    """Answers `yes` to documents with the word `price`. `script` holds what the first requests get instead."""

    def __init__(self):
        self.requests: list[dict] = []
        self.keys: list[str | None] = []
        self.script: list[tuple[int, dict, object]] = []
        self.answer = lambda text: "yes" if "price" in text else "no"
        self.tokens_in = 100
        self.under_way = self.most_under_way = 0
        self.gate: threading.Barrier | None = None
        self.released = threading.Event()
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, reply = endpoint.take(self.path, self.headers.get("Authorization"), body)
                if reply == "stall":
                    endpoint.released.wait(20)
                    return
                payload = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def take(self, path, key, body):
        with self._lock:
            self.requests.append(body)
            self.keys.append(key)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            scripted = self.script.pop(0) if self.script else None
        if self.gate is not None:
            self.gate.wait(10)
        with self._lock:
            self.under_way -= 1
        if path != "/v1/chat/completions":
            return 404, {}, {"error": {"message": f"no {path} here"}}
        if scripted is not None:
            return scripted
        return 200, {}, self.completion(self.answer(body["messages"][-1]["content"]))

    def completion(self, text):
        return {
            "id": "1", "object": "chat.completion", "created": 1, "model": "toy",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": self.tokens_in, "completion_tokens": 1, "total_tokens": self.tokens_in + 1},
        }  # fmt: skip


@pytest.fixture
def endpoint():
    made = Endpoint()
    yield made
    made.released.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def context(tmp_path, notes):
    return LabellingContext(tmp_path / "labels", 3, notes)
