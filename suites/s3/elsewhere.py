"""Flagbase on a store of others (`storage.url`): on moto, and on another Flagbase, which is taken away for a while.

A binary without the feature `s3-storage` cannot do this; `S3_STORE_BIN` names one that can. Without, this is skipped, and says so."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

from botocore.exceptions import ClientError

from place import HOME, REGION, all_of, client, expect, keys_of, refused
from server import Server, Unstarted

MB = 1024 * 1024
PROGRAM = os.environ.get("S3_STORE_BIN", os.environ["FLAGBASE_BIN"])
MOTO = Path(sys.executable).with_name("moto_server")
SMALL, LARGE = os.urandom(1000), os.urandom(20 * MB + 5)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Store:
    """A Flagbase that keeps the bytes of another one."""

    def __init__(self, name):
        # The address stays when it comes back, because the other one knows it.
        self.server = Server(HOME / name / "store", FLAGBASE_STORAGE__S3__LISTEN=f"127.0.0.1:{free_port()}")
        self.server.register()
        self.key, self.address = self.server.key("store"), self.server.s3
        client(*self.key, at=self.address).create_bucket(Bucket="kept")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.__exit__()


class Moto:
    """A store that others wrote. It keeps everything in memory."""

    def __init__(self):
        port = free_port()
        self.address, self.key = f"http://127.0.0.1:{port}", ("a", "b")
        with open(HOME / "moto.log", "w") as log:
            self.process = subprocess.Popen([MOTO, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
        for _ in range(600):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        client(*self.key, at=self.address).create_bucket(Bucket="kept")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)


def on(store, name):
    """A server whose bytes are in the store, below a prefix."""
    key, secret = (quote(half, safe="") for half in store.key)
    url = f"s3://{key}:{secret}@kept/far?region={REGION}&endpoint={store.address}&path_style=true"
    return Server(HOME / name / "server", program=PROGRAM, FLAGBASE_STORAGE__URL=url)


def built_in():
    """Whether this binary has it: without, it refuses to start and names the feature."""
    try:
        Server(HOME / "tried", program=PROGRAM, FLAGBASE_STORAGE__URL="s3://a:b@kept?endpoint=http://127.0.0.1:1").kill()
    except Unstarted as said:
        if "s3-storage" in str(said):
            return False
        raise
    return True


class Near:
    """What is asked of the server that has its bytes elsewhere."""

    def __init__(self, server, store):
        self.server, self.store = server, store
        server.register()
        self.connect()
        self.s3.create_bucket(Bucket="near")

    def connect(self):
        # Trying an unreachable store takes a while.
        self.s3 = client(*self.server.key("near"), at=self.server.s3, read_timeout=180)

    def far(self):
        """Names of what the store has."""
        return keys_of(client(*self.store.key, at=self.store.address), "kept")

    def put(self, key, body):
        return self.s3.put_object(Bucket="near", Key=key, Body=body)

    def get(self, key, **more):
        return self.s3.get_object(Bucket="near", Key=key, **more)["Body"].read()

    def begin(self, key):
        at = {"Bucket": "near", "Key": key}
        return {**at, "UploadId": self.s3.create_multipart_upload(**at)["UploadId"]}

    def parts(self, at, bodies):
        etags = [self.s3.upload_part(PartNumber=number, Body=body, **at)["ETag"] for number, body in enumerate(bodies, 1)]
        return {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]}

    def rest(self, method, key, body=None):
        """Status, code and whether anything was said by REST."""
        request = urllib.request.Request(f"{self.server.url}/api/v1/buckets/near/objects/{key}", method=method, data=body)
        request.add_header("Authorization", f"Bearer {self.server.token()}")
        try:
            return urllib.request.urlopen(request, timeout=180).status, "", ""
        except urllib.error.HTTPError as error:
            told = json.loads(error.read())
            return error.code, told["code"], told["error"]


def works(near):
    """Everything that touches bytes, small and large."""
    for key, body in [("small", SMALL), ("large", LARGE), ("empty", b""), ("\u00e4 //../b", SMALL)]:
        near.put(key, body)
        expect(f"{key}, whole", near.get(key) == body, True)
    expect("names at the store are no keys", [name for name in near.far() if "small" in name or ".." in name], [])
    expect("all below the prefix", {name.split("/")[0] for name in near.far()}, {"far"})
    for said, body in [("bytes=0-9", LARGE[:10]), (f"bytes={8 * MB - 5}-{8 * MB + 5}", LARGE[8 * MB - 5 : 8 * MB + 6]),
                       ("bytes=-7", LARGE[-7:]), (f"bytes={len(LARGE) - 1}-", LARGE[-1:])]:
        expect(said, near.get("large", Range=said) == body, True)
    for key in ["small", "large"]:
        near.s3.copy_object(Bucket="near", Key=f"{key}-copy", CopySource={"Bucket": "near", "Key": key})
        near.s3.delete_object(Bucket="near", Key=key)
        refused("gone", "NoSuchKey", near.s3.get_object, Bucket="near", Key=key)
    expect("copies stay", (near.get("small-copy") == SMALL, near.get("large-copy") == LARGE), (True, True))
    bodies = [os.urandom(5 * MB), os.urandom(9 * MB), os.urandom(10)]
    at = near.begin("parts")
    near.s3.complete_multipart_upload(MultipartUpload=near.parts(at, bodies), **at)
    whole = b"".join(bodies)
    expect("in parts", near.get("parts") == whole, True)
    expect("across parts", near.get("parts", Range=f"bytes={5 * MB - 3}-{14 * MB + 2}") == whole[5 * MB - 3 : 14 * MB + 3], True)
    given_up = near.begin("none")
    near.parts(given_up, bodies[:1])
    near.s3.abort_multipart_upload(**given_up)
    keys = keys_of(near.s3, "near")
    expect("listed", keys, ["empty", "large-copy", "parts", "small-copy", "\u00e4 //../b"])
    near.server.restart()
    near.connect()
    expect("after a restart", (near.get("parts") == whole, near.get("large-copy") == LARGE), (True, True))
    gone = near.s3.delete_objects(Bucket="near", Delete={"Objects": [{"Key": key} for key in keys]})
    expect("deleted", len(gone["Deleted"]), len(keys))
    expect("nothing is left at the store", near.far(), [])
    near.s3.delete_bucket(Bucket="near")


def everything_works_on_moto():
    with Moto() as store, on(store, "moto") as server:
        works(Near(server, store))


def everything_works_on_another_flagbase():
    with Store("flagbase") as store, on(store, "flagbase") as server:
        works(Near(server, store))


def unavailable(what, call, **arguments):
    """Refused as something that may work later, with a sentence that says why."""
    try:
        call(**arguments)
    except ClientError as error:
        told, answer = error.response["Error"], error.response["ResponseMetadata"]
        found = (answer["HTTPStatusCode"], told.get("Code"))
        expect(f"{what}: {told}", found, (503, "ServiceUnavailable"))
        expect(f"{what} says why", bool(told.get("Message")), True)
        expect(f"{what} says when", "retry-after" in answer["HTTPHeaders"], True)
        return told["Message"]
    raise AssertionError(f"{what}: it went through")


def a_store_that_is_away_is_told_and_nothing_is_pretended():
    with Store("away") as store, on(store, "away") as server:
        near, said = Near(server, store), set()
        near.put("kept", LARGE)
        at = near.begin("parts")
        named = near.parts(at, [LARGE])
        before = near.far()
        store.server.kill()
        there = lambda: (keys_of(near.s3, "near"), near.s3.head_object(Bucket="near", Key="kept")["ContentLength"])
        expect("what is known is told", there(), (["kept"], len(LARGE)))
        for key, body in [("new", SMALL), ("kept", SMALL), ("new", LARGE)]:
            said.add(unavailable(f"a write of {key}", near.s3.put_object, Bucket="near", Key=key, Body=body))
        said.add(unavailable("a part", near.s3.upload_part, PartNumber=2, Body=SMALL, **at))
        said.add(unavailable("a copy", near.s3.copy_object, Bucket="near", Key="new", CopySource="near/kept"))
        said.add(unavailable("reading", near.s3.get_object, Bucket="near", Key="kept"))
        for method, key, body in [("PUT", "new", SMALL), ("GET", "kept", None)]:
            status, code, why = near.rest(method, key, body)
            expect(f"{method} by REST: {code} {why}", (status, bool(code and why)), (503, True))
        expect("nothing new is known", there(), (["kept"], len(LARGE)))
        refused("what could not be kept", "404", near.s3.head_object, Bucket="near", Key="new")
        expect("parts", [part["PartNumber"] for part in near.s3.list_parts(**at)["Parts"]], [1])
        store.server.start()
        expect("what was there", (near.get("kept") == LARGE, near.far()), (True, before))
        near.s3.complete_multipart_upload(MultipartUpload=named, **at)
        near.put("new", SMALL)
        expect("afterwards", (near.get("parts") == LARGE, near.get("new") == SMALL), (True, True))
    return "; ".join(sorted(said))


def a_store_that_goes_in_the_middle_of_a_write_leaves_nothing():
    import threading

    with Store("gone") as store, on(store, "gone") as server:
        near, answers = Near(server, store), []

        def write():
            try:
                answers.append(near.put("k", os.urandom(64 * MB)))
            except ClientError as error:
                answers.append(error.response["ResponseMetadata"]["HTTPStatusCode"])

        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.3)
        store.server.kill()
        writer.join(timeout=300)
        expect("what it was told", answers, [503])
        expect("nothing is known", keys_of(near.s3, "near"), [])
        store.server.start()
        expect("nothing is there", near.far(), [])


if __name__ == "__main__":
    if not built_in():
        print(f"SKIPPED: {PROGRAM} was built without `--features s3-storage`, so it cannot run on a store of others", flush=True)
        sys.exit(0)
    cases = [everything_works_on_another_flagbase, a_store_that_is_away_is_told_and_nothing_is_pretended,
             a_store_that_goes_in_the_middle_of_a_write_leaves_nothing]
    if MOTO.exists():
        cases.insert(0, everything_works_on_moto)
    else:
        print(f"SKIPPED: moto is not installed beside {sys.executable}", flush=True)
    all_of(cases)
