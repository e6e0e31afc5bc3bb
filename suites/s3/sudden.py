"""The server is killed in the middle of what S3 does in several steps: the old or the new object is there, whole, and what
was acknowledged is there."""

import http.client
import os
import random
import threading
import time

from botocore.exceptions import BotoCoreError, ClientError

from place import HOME, all_of, client, expect, keys_of, refused
from server import Server

MB = 1024 * 1024
# Killed so long after it was asked, in seconds: where in the work that is differs from run to run.
MOMENTS = [0.002, 0.01, 0.03, 0.08, 0.2, 0.5]


class Place:
    """A server that is killed, and a client of it that lives on."""

    def __init__(self, name, versioned=False):
        self.server = Server(HOME / name)
        self.server.register()
        self.key, self.name = self.server.key("killed"), name
        self.connect()
        self.s3.create_bucket(Bucket=name)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.__exit__()

    def connect(self):
        self.s3 = client(*self.key, at=self.server.s3, read_timeout=60)

    def killed(self, after, work):
        """Kills the server so long after `work` began. Returns what that gave, or `None` when it never had an answer."""
        answer = []

        def worker():
            try:
                answer.append(work())
            except (BotoCoreError, ClientError, ConnectionError, http.client.HTTPException):
                pass

        thread = threading.Thread(target=worker)
        thread.start()
        time.sleep(after)
        self.server.kill()
        thread.join(timeout=120)
        self.server.start()
        self.connect()
        return answer[0] if answer else None

    def body(self, key="k", **which):
        return self.s3.get_object(Bucket=self.name, Key=key, **which)["Body"].read()

    def whole(self, key="k"):
        """The bytes, or `None` when there is no such object."""
        return self.body(key) if key in keys_of(self.s3, self.name) else None

    def begin(self, parts, key="k"):
        """An upload with all of its parts. Returns where it is and what completes it."""
        s3 = self.s3
        at = {"Bucket": self.name, "Key": key}
        at["UploadId"] = s3.create_multipart_upload(**at)["UploadId"]
        etags = [s3.upload_part(PartNumber=number, Body=part, **at)["ETag"] for number, part in enumerate(parts, 1)]
        named = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        return at, {**at, "MultipartUpload": {"Parts": named}}


def one_of(what, found, choices):
    """Compares without printing megabytes."""
    if not any(found == choice for choice in choices):
        size = "nothing" if found is None else f"{len(found)} bytes"
        raise AssertionError(f"{what}: {size}, which is none of what may be there")


def during_a_part():
    acknowledged = 0
    with Place("sudden-part") as place:
        first, second = os.urandom(5 * MB), os.urandom(8 * MB)
        for moment in [*MOMENTS, 3]:
            at, _ = place.begin([first])
            told = place.killed(moment, lambda: place.s3.upload_part(PartNumber=2, Body=second, **at))
            acknowledged += told is not None
            listed = {part["PartNumber"]: part for part in place.s3.list_parts(**at)["Parts"]}
            expect("the part that was there", listed[1]["Size"], len(first))
            if told:
                expect("what was acknowledged", listed[2]["ETag"], told["ETag"])
            if 2 in listed:
                expect("a part is whole", listed[2]["Size"], len(second))
            refused("nothing yet", "404", place.s3.head_object, Bucket=place.name, Key="k")
            # A client sends again what it had no answer to.
            listed[2] = place.s3.upload_part(PartNumber=2, Body=second, **at)
            named = [{"PartNumber": number, "ETag": listed[number]["ETag"]} for number in (1, 2)]
            place.s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **at)
            one_of("the whole", place.whole(), [first + second])
            place.s3.delete_object(Bucket=place.name, Key="k")
    return f"{acknowledged} of {len(MOMENTS) + 1} acknowledged"


def during_a_part_that_replaces_another():
    with Place("sudden-replaced") as place:
        old, new = os.urandom(5 * MB), os.urandom(8 * MB)
        for moment in MOMENTS[1:5]:
            at, _ = place.begin([old])
            told = place.killed(moment, lambda: place.s3.upload_part(PartNumber=1, Body=new, **at))
            there = place.s3.list_parts(**at)["Parts"]
            expect("its size", there[0]["Size"] in ([len(new)] if told else [len(old), len(new)]), True)
            named = [{"PartNumber": 1, "ETag": there[0]["ETag"]}]
            place.s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **at)
            one_of("the whole", place.whole(), [new if there[0]["Size"] == len(new) else old])


def during_a_completion():
    acknowledged = new_ones = 0
    with Place("sudden-completion") as place:
        for moment in MOMENTS:
            before = place.whole()
            parts = [os.urandom(5 * MB), os.urandom(5 * MB), os.urandom(1000)]
            _, complete = place.begin(parts)
            told = place.killed(moment, lambda: place.s3.complete_multipart_upload(**complete))
            after, whole = place.whole(), b"".join(parts)
            one_of("what is there", after, [whole] if told else [before, whole])
            acknowledged, new_ones = acknowledged + (told is not None), new_ones + (after == whole)
            # A client that had no answer asks again, and it is as if it had had one.
            again = place.s3.complete_multipart_upload(**complete)
            if told:
                expect("asked twice", again["ETag"], told["ETag"])
            one_of("after asking again", place.whole(), [whole])
        expect("no upload is left", place.s3.list_multipart_uploads(Bucket=place.name).get("Uploads", []), [])
    return f"{acknowledged} of {len(MOMENTS)} acknowledged, {new_ones} done"


def during_a_copy():
    acknowledged = 0
    with Place("sudden-copy") as place:
        sources = [os.urandom(12 * MB), os.urandom(9 * MB)]
        for number, body in enumerate(sources):
            _, complete = place.begin([body[: 6 * MB], body[6 * MB :]], key=f"from-{number}")
            place.s3.complete_multipart_upload(**complete)
        for turn, moment in enumerate(MOMENTS):
            before, source = place.whole("to"), turn % 2
            copy = {"Bucket": place.name, "Key": "to", "CopySource": {"Bucket": place.name, "Key": f"from-{source}"}}
            told = place.killed(moment, lambda: place.s3.copy_object(**copy))
            one_of("what is there", place.whole("to"), [sources[source]] if told else [before, sources[source]])
            acknowledged += told is not None
            at, _ = place.begin([], key="parts")
            part = {**at, "PartNumber": 1, "CopySource": copy["CopySource"]}
            told = place.killed(moment, lambda: place.s3.upload_part_copy(**part))
            listed = place.s3.list_parts(**at).get("Parts", [])
            expect("a part that was copied", [it["Size"] for it in listed] in ([[len(sources[source])]] + ([] if told else [[]])), True)
            place.s3.abort_multipart_upload(**at)
            for number, body in enumerate(sources):
                one_of("a source", place.whole(f"from-{number}"), [body])
    return f"{acknowledged} of {len(MOMENTS)} acknowledged"


def while_versions_are_written_and_hidden():
    chance, kept = random.Random(7), 0
    with Place("sudden-versions", versioned=True) as place:
        known, begun = {}, []
        for moment in [0.3, 0.5, 0.7, 0.9]:
            s3 = place.s3

            def work():
                while True:
                    key = f"k{chance.randrange(3)}"
                    if chance.random() < 0.2:
                        begun.append((key, None))
                        known[s3.delete_object(Bucket=place.name, Key=key)["VersionId"]] = begun[-1]
                    else:
                        body = os.urandom(20_000 + len(begun))
                        begun.append((key, body))
                        known[s3.put_object(Bucket=place.name, Key=key, Body=body)["VersionId"]] = begun[-1]

            place.killed(moment, work)
            pages = list(place.s3.get_paginator("list_object_versions").paginate(Bucket=place.name))
            versions = [it for page in pages for it in page.get("Versions", [])]
            markers = [it for page in pages for it in page.get("DeleteMarkers", [])]
            there = {it["VersionId"]: it["Key"] for it in versions + markers}
            lost = [version for version, (key, _) in known.items() if there.get(version) != key]
            expect("acknowledged versions that are lost", lost, [])
            for it in versions:
                body = place.body(it["Key"], VersionId=it["VersionId"])
                written = known.get(it["VersionId"], (None, None))[1]
                one_of("a version", body, [written] if written else [body_ for key, body_ in begun if key == it["Key"] and body_])
            # The newest is the last that was acknowledged, or what was under way.
            for key in {it for it, _ in begun}:
                wanted = [written for written in begun if written[0] == key]
                acknowledged = [written for written in known.values() if written[0] == key][-1:]
                newest = place.whole(key)
                one_of(f"the newest of {key}", newest, [body for _, body in acknowledged + wanted[-1:]] or [None])
            kept = len(known)
            # What was under way and has no answer counts as known from here on, as it is there.
            for it in versions + markers:
                known.setdefault(it["VersionId"], (it["Key"], None if it in markers else place.body(it["Key"], VersionId=it["VersionId"])))
            begun = [(it["Key"], known[it["VersionId"]][1]) for it in (versions + markers) if it["IsLatest"]]
            known = dict(sorted(known.items()))
    return f"{kept} versions"


def during_completions_and_copies_of_versions():
    with Place("sudden-both", versioned=True) as place:
        place.s3.put_object(Bucket=place.name, Key="k", Body=b"first")
        wholes = [b"first"]
        for moment in MOMENTS[:5]:
            parts = [os.urandom(5 * MB), os.urandom(1000)]
            _, complete = place.begin(parts)
            told = place.killed(moment, lambda: place.s3.complete_multipart_upload(**complete))
            after = place.whole()
            one_of("the newest", after, [b"".join(parts)] if told else [wholes[-1], b"".join(parts)])
            if after != wholes[-1]:
                wholes.append(after)
            listed = place.s3.list_object_versions(Bucket=place.name, Prefix="k")["Versions"]
            expect("all of them", [it["Size"] for it in listed], [len(body) for body in reversed(wholes)])
            oldest = listed[-1]["VersionId"]
            copy = {"Bucket": place.name, "Key": "k", "CopySource": {"Bucket": place.name, "Key": "k", "VersionId": oldest}}
            told = place.killed(moment, lambda: place.s3.copy_object(**copy))
            listed = place.s3.list_object_versions(Bucket=place.name, Prefix="k")["Versions"]
            if told:
                expect("the version that was acknowledged", listed[0]["VersionId"], told["VersionId"])
            if len(listed) > len(wholes):
                wholes.append(b"first")
            found = [place.body(VersionId=it["VersionId"]) for it in listed]
            expect("each is whole", found == wholes[::-1], True)
    return f"{len(wholes)} versions"


if __name__ == "__main__":
    all_of([
        during_a_part,
        during_a_part_that_replaces_another,
        during_a_completion,
        during_a_copy,
        while_versions_are_written_and_hidden,
        during_completions_and_copies_of_versions,
    ])
