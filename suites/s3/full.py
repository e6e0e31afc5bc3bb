"""A disk that takes no more: what is sent is refused and never there by half, and reading goes on."""

import os
import resource
import shutil
import subprocess

from place import HOME, all_of, client, expect, keys_of, refused
from server import Server

MB = 1024 * 1024
OLD = os.urandom(6 * MB)
NEW = os.urandom(16 * MB)


class Place:
    """A server whose disk can be filled, and emptied again."""

    def __init__(self, server):
        self.server = server
        server.register()
        self.s3 = client(*server.key("full"), at=server.s3, read_timeout=60)
        self.s3.create_bucket(Bucket="full")
        self.s3.put_object(Bucket="full", Key="old", Body=OLD)
        self.at = {"Bucket": "full", "Key": "parts"}
        self.at["UploadId"] = self.s3.create_multipart_upload(**self.at)["UploadId"]
        self.parts = [self.part(1, OLD), self.part(2, b"end")]

    def part(self, number, body):
        told = self.s3.upload_part(PartNumber=number, Body=body, **self.at)
        return {"PartNumber": number, "ETag": told["ETag"]}

    def complete(self):
        return self.s3.complete_multipart_upload(MultipartUpload={"Parts": self.parts}, **self.at)

    def refuses(self, what, call, **arguments):
        """Refused with a status that says that it is the server, and with a code and a sentence that say why."""
        from botocore.exceptions import ClientError

        try:
            call(**arguments)
        except ClientError as error:
            told = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            found = (status, told["Code"])
            expect(f"{what}: {told['Message']}", found in [(507, "InsufficientStorage"), (503, "ServiceUnavailable")], True)
            expect(f"{what} says why", bool(told["Message"]), True)
            return f"{status} {told['Code']}"
        raise AssertionError(f"{what}: it went through")

    def as_before(self):
        """What was there is there, whole, and nothing else is."""
        expect("what is listed", keys_of(self.s3, "full"), ["old"])
        expect("what is read", self.s3.get_object(Bucket="full", Key="old")["Body"].read() == OLD, True)
        expect("a range", self.s3.get_object(Bucket="full", Key="old", Range="bytes=5-9")["Body"].read(), OLD[5:10])
        refused("nothing new", "404", self.s3.head_object, Bucket="full", Key="new")
        refused("no whole of the parts", "404", self.s3.head_object, Bucket="full", Key="parts")
        parts = self.s3.list_parts(**self.at)["Parts"]
        expect("the parts", [(it["PartNumber"], it["Size"]) for it in parts], [(1, len(OLD)), (2, 3)])

    def room_again(self):
        """As soon as there is room, everything that was refused is done."""
        self.part(1, NEW)
        self.parts = [self.part(1, OLD), self.part(2, b"end")]
        self.complete()
        self.s3.put_object(Bucket="full", Key="new", Body=NEW)
        expect("the whole", self.s3.get_object(Bucket="full", Key="parts")["Body"].read() == OLD + b"end", True)
        expect("what was refused", self.s3.get_object(Bucket="full", Key="new")["Body"].read() == NEW, True)
        self.server.restart()
        self.s3 = client(*self.server.key("again"), at=self.server.s3)
        expect("after a restart", keys_of(self.s3, "full"), ["new", "old", "parts"])


def on_a_disk_that_takes_no_large_files():
    """No file of the server grows beyond a limit: what is small is written, what is large is not."""
    with Server(HOME / "limited") as server:
        place, said = Place(server), set()
        limit = lambda most: resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        limit(4 * MB)
        for key in ["old", "new"]:
            said.add(place.refuses(f"a write of {key}", place.s3.put_object, Bucket="full", Key=key, Body=NEW))
        said.add(place.refuses("a part", place.part, number=2, body=NEW))
        said.add(place.refuses("another part", place.part, number=3, body=NEW))
        place.as_before()
        limit(resource.RLIM_INFINITY)
        place.room_again()
    return ", ".join(sorted(said))


def on_a_disk_that_takes_nothing():
    """No file grows at all, the database neither: completing is refused, too, and the upload stays."""
    with Server(HOME / "stopped") as server:
        place, said = Place(server), set()
        limit = lambda most: resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        limit(1)
        said.add(place.refuses("a write", place.s3.put_object, Bucket="full", Key="new", Body=b"small"))
        said.add(place.refuses("a part", place.part, number=2, body=b"small"))
        said.add(place.refuses("a completion", place.complete))
        said.add(place.refuses("a copy", place.s3.copy_object, Bucket="full", Key="new", CopySource="full/old"))
        said.add(place.refuses("a deletion", place.s3.delete_object, Bucket="full", Key="old"))
        place.as_before()
        limit(resource.RLIM_INFINITY)
        place.room_again()
    return ", ".join(sorted(said))


# In a name space of its own anybody may mount.
OWN = ["unshare", "--user", "--map-root-user", "--mount"]
SMALL = 'mount -t tmpfs -o size=64m none "$PWD" && cd "$PWD" && exec "$@"'


def on_a_small_disk():
    """A file system of 64 MB, filled to its end by somebody else."""
    if subprocess.run([*OWN, "sh", "-c", 'mount -t tmpfs none "$PWD"'], cwd=HOME, capture_output=True).returncode != 0:
        return "SKIPPED: a disk of a bounded size cannot be mounted here, not even in a name space of our own"
    with Server(HOME / "small", before=[*OWN, "sh", "-c", SMALL, "sh"]) as server:
        place, said = Place(server), set()
        inside = f"/proc/{server.process.pid}/root{server.home}"
        free = lambda: shutil.disk_usage(inside).free
        with open(f"{inside}/filler", "wb") as filler:
            filler.write(bytes(max(0, free() - 8 * MB)))
        for key in ["old", "new"]:
            said.add(place.refuses(f"a write of {key}", place.s3.put_object, Bucket="full", Key=key, Body=NEW))
        said.add(place.refuses("a part", place.part, number=3, body=NEW))
        place.as_before()
        with open(f"{inside}/filler", "ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                expect("what is free", free() < 4096, True)
        said.add(place.refuses("a small write", place.s3.put_object, Bucket="full", Key="new", Body=b"x" * 100_000))
        said.add(place.refuses("a small part", place.part, number=3, body=b"x" * 100_000))
        place.as_before()
        os.unlink(f"{inside}/filler")
        place.s3.put_object(Bucket="full", Key="new", Body=NEW)
        place.complete()
        expect("with room again", keys_of(place.s3, "full"), ["new", "old", "parts"])
    return ", ".join(sorted(said))


if __name__ == "__main__":
    all_of([on_a_disk_that_takes_no_large_files, on_a_disk_that_takes_nothing, on_a_small_disk])
