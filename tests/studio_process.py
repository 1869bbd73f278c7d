"""The studio as a program: what tests share that start and kill it."""

import http.client
import json
import os
import re
import subprocess
import sys
from contextlib import closing, contextmanager
from io import BytesIO

import numpy as np
from PIL import Image


class Running(subprocess.Popen):
    """`hdmatt studio` in a process of its own, and requests to it."""

    def __init__(self, picture, *options):
        command = [sys.executable, "-m", "hdmatt", "studio", str(picture), "--no-browser", *map(str, options)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        super().__init__(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        first = self.stdout.readline()
        self.address, self.port, token = re.search(r"(http://127\.0\.0\.1:(\d+)/\?token=(\S+))", first).groups()
        self.cookie = f"hdmatt_{self.port}={token}"

    def __exit__(self, *error):
        self.kill()  # or a test that failed would wait for it
        super().__exit__(*error)

    @contextmanager
    def answer(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=300)
        headers = {"cookie": self.cookie, "content-type": "application/json"}
        with closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            with connection.getresponse() as answer:
                assert answer.status == 200
                yield answer

    def ask(self, *request):
        with self.answer(*request) as answer:
            return answer.read()

    def json(self, *request):
        return json.loads(self.ask(*request))

    def trimap(self):
        picture = Image.open(BytesIO(self.ask("GET", "/api/pictures/1/tiles/trimap/0/0/0")))
        return np.array([0, 128, 255], np.uint8)[np.asarray(picture)]
