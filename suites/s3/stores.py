"""Keeps blobs in stores that speak S3: in Flagbase itself, and in moto. The contract of blobs is a program of ours, which
`S3_STORE_TEST` names; without it this is skipped, and says so."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import boto3

from place import HOME, KEY, REGION, SECRET, URL, all_of, bucket, run

TEST = os.environ.get("S3_STORE_TEST")
MOTO = Path(sys.executable).with_name("moto_server")


def contract(address, key, secret, name):
    """Runs the contract against a bucket; tells how much of it was looked at."""
    store = f"s3://{quote(key, safe='')}:{quote(secret, safe='')}@{name}/kept?region={REGION}&endpoint={address}"
    said = run(TEST, environment={"S3_STORE": store})
    return said.strip().splitlines()[-1]


def blobs_are_kept_in_flagbase_itself():
    return contract(URL, KEY, SECRET, bucket("stores"))


def blobs_are_kept_in_moto():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with open(HOME / "moto.log", "w") as log:
        server = subprocess.Popen([MOTO, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        for _ in range(600):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        client = boto3.client(
            "s3", endpoint_url=address, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
        )
        client.create_bucket(Bucket="stores")
        return contract(address, "a", "b", "stores")
    finally:
        server.terminate()
        server.wait(timeout=30)


if __name__ == "__main__":
    if not TEST:
        print("SKIPPED: `S3_STORE_TEST` names no program that checks stores", flush=True)
        sys.exit(0)
    cases = [blobs_are_kept_in_flagbase_itself]
    if MOTO.exists():
        cases.append(blobs_are_kept_in_moto)
    else:
        print(f"SKIPPED: moto is not installed beside {sys.executable}", flush=True)
    all_of(cases)
