"""Starts Flagbase, makes an access key, and lets every script beside this one loose on it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from server import DOMAIN, Server

HERE = Path(__file__).parent
WORK = Path(os.environ["S3_WORK"])
SCRIPTS = [
    "boto.py", "checksums.py", "names.py", "faults.py", "chunks.py", "tools.py", "hosts.py", "sites.py", "walk.py",
    "sudden.py", "full.py", "stores.py", "elsewhere.py", "published.py",
]


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    server = Server(WORK / "server")
    try:
        server.register()
        (key, secret), (other, other_secret) = server.key("clients"), server.key("others")
        scoped, scoped_secret = server.key("scoped", buckets=[{"bucket": "fault-scope", "prefix": "mine/"}])
        told = {
            "S3_URL": server.s3, "S3_DOMAIN": DOMAIN, "S3_API": server.url, "S3_TOKEN": server.token(),
            "S3_KEY": key, "S3_SECRET": secret, "S3_OTHER_KEY": other, "S3_OTHER_SECRET": other_secret,
            "S3_SCOPED_KEY": scoped, "S3_SCOPED_SECRET": scoped_secret, "PYTHONDONTWRITEBYTECODE": "1",
        }
        failed = []
        for script in sys.argv[1:] or SCRIPTS:
            print(f"\n{script}", flush=True)
            home = WORK / script.removesuffix(".py")
            home.mkdir()
            environment = {**os.environ, **told, "S3_HOME": str(home)}
            if subprocess.run([sys.executable, str(HERE / script)], env=environment).returncode != 0:
                failed.append(script)
    finally:
        stopped = server.stop()
    if stopped != 0:
        failed.append(f"the server ended with {stopped}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
