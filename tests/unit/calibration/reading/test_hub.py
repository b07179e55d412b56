"""A hub dataset, read by the real library from a small hub on this machine."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import calibration

COMMIT = "5ca1ab1e" * 5
ROWS = "".join(json.dumps({"text": f"row {i} tells of thing{i % 3} and of word{i}"}) + "\n" for i in range(30)).encode()
FILE = {"type": "file", "path": "data.jsonl", "size": len(ROWS), "oid": "0" * 40}


class Hub(BaseHTTPRequestHandler):
    """One dataset, ``org/name``, of one file and no card."""

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        if "/resolve/" in self.path and "data.jsonl" in self.path:
            self.answer(200, ROWS, ETag='"1"', X_Repo_Commit=COMMIT)
        elif self.path.startswith(f"/api/datasets/org/name/tree/{COMMIT}"):
            self.answer(200, json.dumps([FILE]).encode())
        elif self.path.startswith("/api/datasets/org/name"):
            self.answer(200, json.dumps({"id": "org/name", "sha": COMMIT}).encode())
        else:
            self.answer(404, b"{}", X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, json.dumps([FILE] if b"data.jsonl" in asked else []).encode())

    def log_message(self, *words):
        """Nothing is printed."""


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_manifest_names_the_commit_that_was_read(hub, tmp_path):
    script = (
        "from calibration import DomainSource, Recipe, build_calibration_set\n"
        "recipe = Recipe(domains=[DomainSource(name='d', source='org/name')], min_group_tokens=1)\n"
        "build_calibration_set(recipe).save('set')"
    )
    home = str(Path(calibration.__file__).parent.parent)
    away = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1", "no_proxy": "*"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **away, "PYTHONPATH": home},
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    (source,) = manifest["domains"][0]["sources"]
    assert (source["source"], source["rows"], source["sha256"]) == ("org/name", 30, None)
    assert source["revision"] == COMMIT
