"""Checksums of every kind: computed here, by the clients and by the server, and wrong ones in every place where one may be said."""

import base64
import hashlib
import os
import sys
import zlib
from pathlib import Path

from place import HOME, KEY, REGION, SECRET, URL, all_of, bucket, client, expect, keys_of, refused, run
from wire import announced, chunked, send, streamed

MB = 1024 * 1024
KINDS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
AWS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": URL}


def table(polynomial):
    """What one byte does to a CRC whose bits are reflected."""
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
        rows.append(byte)
    return rows


TABLES = {"CRC32C": (table(0x82F63B78), 32), "CRC64NVME": (table(0x9A6C9329AC4BC9B5), 64)}


def crc(kind, body):
    rows, bits = TABLES[kind]
    whole = 2**bits - 1
    value = whole
    for byte in body:
        value = value >> 8 ^ rows[(value ^ byte) & 255]
    return (value ^ whole).to_bytes(bits // 8, "big")


def value(kind, body):
    """A checksum as headers have it, by none of the libraries that clients use."""
    if kind in TABLES:
        raw = crc(kind, body)
    else:
        raw = zlib.crc32(body).to_bytes(4, "big") if kind == "CRC32" else hashlib.new(kind, body).digest()
    return base64.b64encode(raw).decode()


def wrong(kind):
    return value(kind, b"something else")


def member(kind):
    return f"Checksum{kind}"


def header(kind):
    return f"x-amz-checksum-{kind.lower()}"


def the_checks_know_what_is_published():
    expect("CRC-32C", crc("CRC32C", b"123456789").hex(), "e3069283")
    expect("CRC-64/NVME", crc("CRC64NVME", b"123456789").hex(), "ae8b14860a799888")


def what_is_said_is_compared_and_kept():
    s3, name = client(), bucket("sums-said")
    body = os.urandom(100_000)
    for kind in KINDS:
        sum_ = value(kind, body)
        put = s3.put_object(Bucket=name, Key=kind, Body=body, **{member(kind): sum_})
        expect(f"{kind} of a write", (put[member(kind)], put["ChecksumType"]), (sum_, "FULL_OBJECT"))
        head = s3.head_object(Bucket=name, Key=kind, ChecksumMode="ENABLED")
        expect(f"{kind} of a head", (head[member(kind)], head["ChecksumType"]), (sum_, "FULL_OBJECT"))
        told = s3.get_object_attributes(Bucket=name, Key=kind, ObjectAttributes=["Checksum"])["Checksum"]
        expect(f"{kind} among the attributes", told[member(kind)], sum_)
        s3.copy_object(Bucket=name, Key=f"{kind}-copy", CopySource={"Bucket": name, "Key": kind})
        head = s3.head_object(Bucket=name, Key=f"{kind}-copy", ChecksumMode="ENABLED")
        expect(f"{kind} of a copy", head[member(kind)], sum_)


def what_a_client_computes_is_what_the_server_computes():
    """boto3 and aws-cli compute the CRCs with AWS's own library, and compare them when they read."""
    s3, name = client(), bucket("sums-clients")
    body = os.urandom(300_000)
    (HOME / "file").write_bytes(body)
    aws = lambda *words: run(sys.executable, Path(sys.executable).parent / "aws", *words, environment=AWS)
    for kind in KINDS:
        s3.put_object(Bucket=name, Key=kind, Body=body, ChecksumAlgorithm=kind)
        got = s3.get_object(Bucket=name, Key=kind, ChecksumMode="ENABLED")
        expect(f"{kind} of boto3", (got[member(kind)], got["Body"].read() == body), (value(kind, body), True))
        aws("s3", "cp", HOME / "file", f"s3://{name}/aws-{kind}", "--checksum-algorithm", kind, "--quiet")
        head = s3.head_object(Bucket=name, Key=f"aws-{kind}", ChecksumMode="ENABLED")
        expect(f"{kind} of aws-cli", head[member(kind)], value(kind, body))
        aws("s3", "cp", f"s3://{name}/aws-{kind}", HOME / f"back-{kind}", "--checksum-mode", "ENABLED", "--quiet")
        expect("what came back", (HOME / f"back-{kind}").read_bytes() == body, True)


def a_wrong_one_in_a_header_is_refused():
    s3, name = client(), bucket("sums-wrong")
    s3.put_object(Bucket=name, Key="old", Body=b"old")
    for kind in KINDS:
        for key in ["old", "new"]:
            said = {member(kind): wrong(kind)}
            refused(f"{kind} of {key}", "BadDigest", s3.put_object, Bucket=name, Key=key, Body=b"new", **said)
        headers = {header(kind): "!!!!", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
        path = f"/{name}/new"
        status, code = send("PUT", path, announced(path, headers), b"new")
        expect(f"{kind} that is none", (status, code in ("InvalidRequest", "InvalidDigest", "InvalidArgument")), (400, True))
        headers = {header(kind): value(kind, b"new")[:4], "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
        expect(f"{kind} that is cut", send("PUT", path, announced(path, headers), b"new")[0], 400)
    expect("what is there", keys_of(s3, name), ["old"])
    expect("what it is", s3.get_object(Bucket=name, Key="old")["Body"].read(), b"old")


def a_wrong_one_in_a_trailer_is_refused():
    s3, name = client(), bucket("sums-trailers")
    chunks = [b"a" * 70_000, b"b" * 10]
    body = b"".join(chunks)
    s3.put_object(Bucket=name, Key="old", Body=b"old")

    def put(key, kind, said):
        trailer = f"{header(kind)}:{said}\r\n".encode()
        return send("PUT", *streamed(f"/{name}/{key}", chunked(chunks, trailer), len(body), header(kind)))

    for kind in KINDS:
        expect(f"{kind}, right", put(kind, kind, value(kind, body)), (200, ""))
        head = s3.head_object(Bucket=name, Key=kind, ChecksumMode="ENABLED")
        expect(f"{kind}, kept", head[member(kind)], value(kind, body))
        for key in ["old", "new"]:
            expect(f"{kind}, wrong", put(key, kind, wrong(kind)), (400, "BadDigest"))
        expect(f"{kind}, none", put("new", kind, "!!!!")[0], 400)
    expect("what is there", keys_of(s3, name), sorted([*KINDS, "old"]))
    expect("what it is", s3.get_object(Bucket=name, Key="old")["Body"].read(), b"old")


def a_wrong_one_of_a_part_or_of_the_whole_is_refused():
    s3, name = client(), bucket("sums-parts")
    parts = [os.urandom(5 * MB), os.urandom(1000)]
    whole = b"".join(parts)
    for kind, type_ in [("CRC32", "FULL_OBJECT"), ("CRC32C", "FULL_OBJECT"), ("CRC64NVME", "FULL_OBJECT"),
                        ("CRC32", "COMPOSITE"), ("CRC32C", "COMPOSITE"), ("SHA1", "COMPOSITE"), ("SHA256", "COMPOSITE")]:
        what, key = f"{kind} {type_}", f"{kind}-{type_}"
        upload = s3.create_multipart_upload(Bucket=name, Key=key, ChecksumAlgorithm=kind, ChecksumType=type_)
        at = {"Bucket": name, "Key": key, "UploadId": upload["UploadId"]}
        said = {member(kind): wrong(kind)}
        refused(f"{what} of a part", "BadDigest", s3.upload_part, PartNumber=1, Body=parts[0], **said, **at)
        expect("no part", s3.list_parts(**at).get("Parts", []), [])
        named = []
        for number, part in enumerate(parts, 1):
            told = s3.upload_part(PartNumber=number, Body=part, ChecksumAlgorithm=kind, **at)
            expect(f"{what} of part {number}", told[member(kind)], value(kind, part))
            named.append({"PartNumber": number, "ETag": told["ETag"], member(kind): told[member(kind)]})
        # Composed of those of the parts, or of all the bytes.
        of_parts = value(kind, b"".join(base64.b64decode(part[member(kind)]) for part in named)) + f"-{len(parts)}"
        right = value(kind, whole) if type_ == "FULL_OBJECT" else of_parts
        lies = [{**named[0], member(kind): wrong(kind)}, named[1]]
        complete = lambda parts, **more: s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **more, **at)
        refused(f"{what} of a named part", "InvalidPart", complete, parts=lies)
        if type_ == "FULL_OBJECT":
            refused(f"{what} of the whole", "BadDigest", complete, parts=named, ChecksumType=type_, **said)
        refused(f"{what}: nothing yet", "404", s3.head_object, Bucket=name, Key=key)
        done = complete(named)
        expect(f"{what} of the whole", (done[member(kind)], done["ChecksumType"]), (right, type_))
        got = s3.get_object(Bucket=name, Key=key, ChecksumMode="ENABLED")
        expect(f"{what}, read back", (got[member(kind)], got["Body"].read() == whole), (right, True))
    for kind, type_ in [("CRC64NVME", "COMPOSITE"), ("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT")]:
        begin = {"Bucket": name, "Key": "none", "ChecksumAlgorithm": kind, "ChecksumType": type_}
        refused(f"{kind} {type_}", "InvalidRequest", s3.create_multipart_upload, **begin)


if __name__ == "__main__":
    all_of([
        the_checks_know_what_is_published,
        what_is_said_is_compared_and_kept,
        what_a_client_computes_is_what_the_server_computes,
        a_wrong_one_in_a_header_is_refused,
        a_wrong_one_in_a_trailer_is_refused,
        a_wrong_one_of_a_part_or_of_the_whole_is_refused,
    ])
