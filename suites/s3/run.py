"""Starts Flagbase, makes an access key, and lets every script beside this one loose on it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
WORK = Path(os.environ["S3_WORK"])
SCRIPTS = ["boto.py", "faults.py", "tools.py", "sites.py", "stores.py", "published.py"]
ACCOUNT = {"email": "alice@example.com", "password": "correct horse battery staple"}
DOMAIN = "s3.example.com"
PERMISSIONS = ["bucket.list", "bucket.read", "bucket.write", "bucket.delete", "bucket.manage"]


def post(url, body, token=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
    return json.load(urllib.request.urlopen(request, timeout=30))


def started(home):
    """The server, and where it and its S3 are, as it says itself."""
    environment = {
        **os.environ,
        "HOME": str(home),
        "FLAGBASE_SERVER__HOST": "127.0.0.1",
        "FLAGBASE_SERVER__PORT": "0",
        "FLAGBASE_EVENTS__EMBEDDED": "false",
        "FLAGBASE_STORAGE__S3__LISTEN": "127.0.0.1:0",
        "FLAGBASE_STORAGE__S3__DOMAIN": DOMAIN,
        # Visitors of sites are told apart by their addresses.
        "FLAGBASE_GATEWAY__TRUSTED_PROXIES": "127.0.0.1",
        "FLAGBASE_LOG__FORMAT": "json",
    }
    log = open(home / "log", "w")
    server = subprocess.Popen([os.environ["FLAGBASE_BIN"], "start"], cwd=home, env=environment, stderr=log)
    for _ in range(1200):
        for line in (home / "log").read_text().splitlines():
            told = json.loads(line) if line.startswith("{") else {}
            if told.get("message") == "flagbase is running":
                return server, f"http://{told['address']}", f"http://{told['s3']}"
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{(home / 'log').read_text()}")


def key_of(url, name, **scope):
    """An access key that may do everything with buckets, or with those that are named."""
    login = post(f"{url}/auth/login", ACCOUNT)
    made = post(f"{url}/api/v1/keys", {"name": name, "permissions": PERMISSIONS, **scope}, login["token"])
    return made["access_key_id"], made["secret_access_key"]


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    server, url, s3 = started(WORK)
    try:
        post(f"{url}/auth/register", {**ACCOUNT, "role": "developer"})
        (key, secret), (other, other_secret) = key_of(url, "clients"), key_of(url, "others")
        scoped, scoped_secret = key_of(url, "scoped", buckets=[{"bucket": "fault-scope", "prefix": "mine/"}])
        token = post(f"{url}/auth/login", ACCOUNT)["token"]
        failed = []
        for script in sys.argv[1:] or SCRIPTS:
            print(f"\n{script}", flush=True)
            home = WORK / script.removesuffix(".py")
            home.mkdir()
            environment = {
                **os.environ, "S3_URL": s3, "S3_KEY": key, "S3_SECRET": secret, "S3_HOME": str(home),
                "S3_DOMAIN": DOMAIN, "S3_SCOPED_KEY": scoped, "S3_SCOPED_SECRET": scoped_secret, "S3_OTHER_KEY": other, "S3_OTHER_SECRET": other_secret, "PYTHONDONTWRITEBYTECODE": "1",
                "S3_API": url, "S3_TOKEN": token,
            }
            if subprocess.run([sys.executable, str(HERE / script)], env=environment).returncode != 0:
                failed.append(script)
    finally:
        server.send_signal(signal.SIGTERM)
        stopped = server.wait(timeout=60)
    if stopped != 0:
        failed.append(f"the server ended with {stopped}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
