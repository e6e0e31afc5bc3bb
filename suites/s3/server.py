"""Servers of our own: started, killed, and started again on what they left."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request

ACCOUNT = {"email": "alice@example.com", "password": "correct horse battery staple"}
DOMAIN = "s3.example.com"
PERMISSIONS = ["bucket.list", "bucket.read", "bucket.write", "bucket.delete", "bucket.manage"]


def post(url, body, token=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
    return json.load(urllib.request.urlopen(request, timeout=30))


class Unstarted(Exception):
    """What the server said instead of starting."""


class Server:
    """The real binary in a directory. `url` and `s3` are where it is, as it says itself."""

    def __init__(self, home, before=(), program=None, **environment):
        """`before` is a command that runs the program; `environment` is said to it beside what all of ours are told."""
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.starts = home, 0
        self.command = [*before, program or os.environ["FLAGBASE_BIN"], "start"]
        ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = {
            **ours,
            "HOME": str(home),
            "FLAGBASE_SERVER__HOST": "127.0.0.1",
            "FLAGBASE_SERVER__PORT": "0",
            "FLAGBASE_EVENTS__EMBEDDED": "false",
            "FLAGBASE_STORAGE__S3__LISTEN": "127.0.0.1:0",
            "FLAGBASE_STORAGE__S3__DOMAIN": DOMAIN,
            # Visitors of sites are told apart by their addresses.
            "FLAGBASE_GATEWAY__TRUSTED_PROXIES": "127.0.0.1",
            "FLAGBASE_LOG__FORMAT": "json",
            **environment,
        }
        self.start()

    def start(self):
        self.starts += 1
        log = self.home / f"log-{self.starts}"
        with open(log, "w") as stderr:
            # What is ignored here stays ignored there: above all the signal of a file that may not grow.
            self.process = subprocess.Popen(
                self.command, cwd=self.home, env=self.environment, stderr=stderr, restore_signals=False
            )
        for _ in range(2400):
            for line in log.read_text().splitlines():
                told = json.loads(line) if line.startswith("{") else {}
                if told.get("message") == "flagbase is running":
                    self.url, self.s3 = f"http://{told['address']}", f"http://{told['s3']}"
                    return
            if self.process.poll() is not None:
                raise Unstarted(log.read_text())
            time.sleep(0.05)
        self.kill()
        raise Unstarted(log.read_text())

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=60)

    def stop(self):
        """Asks it to end; tells how it did."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def restart(self):
        self.kill()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()

    def register(self):
        post(f"{self.url}/auth/register", {**ACCOUNT, "role": "developer"})

    def token(self):
        return post(f"{self.url}/auth/login", ACCOUNT)["token"]

    def key(self, name, **scope):
        """An access key that may do everything with buckets, or with those that are named."""
        made = post(f"{self.url}/api/v1/keys", {"name": name, "permissions": PERMISSIONS, **scope}, self.token())
        return made["access_key_id"], made["secret_access_key"]
