"""The server that clients are checked against, and what all checks need."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.config import Config

URL = os.environ["S3_URL"]
KEY = os.environ["S3_KEY"]
SECRET = os.environ["S3_SECRET"]
# Where programs are that are no Python packages.
TOOLS = Path(os.environ.get("S3_TOOLS", "/usr/bin"))
# An empty directory of this run.
HOME = Path(os.environ["S3_HOME"])
REGION = "us-east-1"
# Buckets are found at names below it, too.
DOMAIN = os.environ["S3_DOMAIN"]


def client(key=KEY, secret=SECRET, at=URL, style="path", **config):
    """A client of boto3 that tries once, so that nothing is hidden by a second attempt."""
    config = Config(signature_version="s3v4", retries={"max_attempts": 0}, s3={"addressing_style": style}, **config)
    return boto3.client(
        "s3", endpoint_url=at, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret, config=config
    )


def bucket(name):
    """An empty bucket."""
    client().create_bucket(Bucket=name)
    return name


def expect(what, found, wanted):
    """Compares, and says what it was about."""
    if found != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, found {found!r}")


def keys_of(s3, name, **asked):
    """All keys of a bucket, as they are listed."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name, **asked)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def refused(what, code, call, **arguments):
    """Calls what has to be refused with `code`."""
    from botocore.exceptions import ClientError

    try:
        call(**arguments)
    except ClientError as error:
        expect(what, error.response["Error"]["Code"], code)
        return error.response
    raise AssertionError(f"{what}: expected {code}, and it went through")


def run(*command, environment=None, **options):
    """Runs a program; what it printed is shown when it fails."""
    # What this machine says of AWS is not meant for us.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**ours, "HOME": str(HOME), **(environment or {})}
    done = subprocess.run(
        [str(word) for word in command], env=environment, capture_output=True, text=True, timeout=600, **options
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def tree(root, seed=1, files=120):
    """A directory with files of many sizes and odd names."""
    chance = random.Random(seed)
    names = ["ä ö/ü.txt", "a+b &c=d.txt", "#hash?.txt", "deep/er/and/deeper/x", "empty", "quote'\".txt", "%41.txt"]
    sizes = [0, 1, 4095, 65_537, 1_048_577]
    root.mkdir(parents=True)
    for number in range(files):
        name = names[number] if number < len(names) else f"d{number % 7}/file-{number}.bin"
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = sizes[number % len(sizes)] if number < 40 else chance.randrange(20_000)
        path.write_bytes(chance.randbytes(size))
    # Larger than what any of the clients sends at once.
    (root / "large.bin").write_bytes(chance.randbytes(24 * 1024 * 1024 + 3))
    return root


def digests(root):
    """Names and digests of all files below a directory."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def same(one, other):
    """Whether two directories hold the same, byte for byte."""
    left, right = digests(one), digests(other)
    if left != right:
        names = sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
        raise AssertionError(f"{one} and {other} differ in {len(names)} files, such as {names[:5]}")
    return len(left)


def all_of(cases):
    """Runs every case although one fails; ends with the number of those that failed."""
    failed = []
    for case in cases:
        name = case.__name__.replace("_", " ")
        try:
            told = case()
        except Exception as error:  # what a client raises is its own affair
            failed.append(name)
            print(f"FAILED  {name}: {error}", flush=True)
        else:
            print(f"passed  {name}{f': {told}' if told else ''}", flush=True)
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed", flush=True)
    sys.exit(1 if failed else 0)
