"""What S3 offers, asked for with boto3."""

import base64
import hashlib
import os
import urllib.error
import urllib.request
import zlib

from place import URL, all_of, bucket, client, expect, refused

MB = 1024 * 1024


def objects_have_a_head_a_body_and_an_etag():
    s3, name = client(), bucket("boto-objects")
    body = os.urandom(100_000)
    put = s3.put_object(
        Bucket=name, Key="a/ä b+c", Body=body, ContentType="image/png", CacheControl="max-age=60",
        ContentDisposition="inline", ContentLanguage="de", ContentEncoding="identity", Metadata={"Owner": "alice"},
    )
    expect("the ETag", put["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
    got = s3.get_object(Bucket=name, Key="a/ä b+c")
    expect("the body", got["Body"].read(), body)
    expect("the type", got["ContentType"], "image/png")
    expect("the metadata", got["Metadata"], {"owner": "alice"})
    head = s3.head_object(Bucket=name, Key="a/ä b+c")
    for member in ["CacheControl", "ContentDisposition", "ContentLanguage", "ContentEncoding", "ETag", "LastModified"]:
        expect(member, head[member], got[member])
    expect("a type nobody said", s3.head_object(**put_plain(s3, name))["ContentType"], "binary/octet-stream")
    s3.delete_object(Bucket=name, Key="a/ä b+c")
    refused("what was deleted", "NoSuchKey", s3.get_object, Bucket=name, Key="a/ä b+c")


def put_plain(s3, name):
    s3.put_object(Bucket=name, Key="plain", Body=b"plain")
    return {"Bucket": name, "Key": "plain"}


def ranges_and_conditions_are_those_of_http():
    s3, name = client(), bucket("boto-ranges")
    etag = s3.put_object(Bucket=name, Key="k", Body=b"0123456789")["ETag"]
    for said, body, told in [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=0-99", b"0123456789", "bytes 0-9/10"),
    ]:
        got = s3.get_object(Bucket=name, Key="k", Range=said)
        expect(said, (got["Body"].read(), got["ContentRange"]), (body, told))
    refused("beyond the end", "InvalidRange", s3.get_object, Bucket=name, Key="k", Range="bytes=10-")
    refused("another ETag", "PreconditionFailed", s3.get_object, Bucket=name, Key="k", IfMatch='"x"')
    refused("the same ETag", "304", s3.get_object, Bucket=name, Key="k", IfNoneMatch=etag)
    s3.put_object(Bucket=name, Key="k", Body=b"second", IfMatch=etag)
    refused("a stale writer", "PreconditionFailed", s3.put_object, Bucket=name, Key="k", Body=b"", IfMatch=etag)
    refused("it is there", "PreconditionFailed", s3.put_object, Bucket=name, Key="k", Body=b"", IfNoneMatch="*")
    refused("it is not there", "NoSuchKey", s3.put_object, Bucket=name, Key="none", Body=b"", IfMatch=etag)
    s3.put_object(Bucket=name, Key="new", Body=b"", IfNoneMatch="*")
    expect("the body", s3.get_object(Bucket=name, Key="k")["Body"].read(), b"second")


def listings_have_pages_groups_and_odd_keys():
    s3, name = client(), bucket("boto-lists")
    keys = ["a", "a/1", "a/2", "b/1/x", "b/2", "c", "ä", "z &<>\"'+%20", "..", "../x", "//", "a//b", "./", "x" * 1024]
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"1")
    expected = sorted(keys, key=lambda key: key.encode())
    for call in ["list_objects", "list_objects_v2"]:
        pages = s3.get_paginator(call).paginate(Bucket=name, PaginationConfig={"PageSize": 2})
        expect(call, [found["Key"] for page in pages for found in page.get("Contents", [])], expected)
    for key in keys:
        expect(key[:20], s3.get_object(Bucket=name, Key=key)["Body"].read(), b"1")
    groups = [
        group["Prefix"]
        for page in s3.get_paginator("list_objects_v2").paginate(
            Bucket=name, Delimiter="/", PaginationConfig={"PageSize": 1}
        )
        for group in page.get("CommonPrefixes", [])
    ]
    expect("groups", groups, ["../", "./", "/", "a/", "b/"])
    page = s3.list_objects_v2(Bucket=name, Prefix="b/", Delimiter="/")
    expect("below a group", ([it["Key"] for it in page["Contents"]], page["CommonPrefixes"]), (["b/2"], [{"Prefix": "b/1/"}]))
    expect("after", s3.list_objects_v2(Bucket=name, StartAfter="z")["Contents"][0]["Key"], "z &<>\"'+%20")
    expect("none", s3.list_objects_v2(Bucket=name, MaxKeys=0)["KeyCount"], 0)
    refused("too long", "KeyTooLongError", s3.put_object, Bucket=name, Key="x" * 1025, Body=b"")
    errors = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in keys]}).get("Errors", [])
    expect("errors", errors, [])
    s3.delete_bucket(Bucket=name)


def checksums_of_every_kind_are_kept_and_compared():
    s3, name = client(), bucket("boto-checksums")
    body = os.urandom(300_000)
    for algorithm in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]:
        s3.put_object(Bucket=name, Key=algorithm, Body=body, ChecksumAlgorithm=algorithm)
        head = s3.head_object(Bucket=name, Key=algorithm, ChecksumMode="ENABLED")
        expect("its kind", head["ChecksumType"], "FULL_OBJECT")
        assert head[f"Checksum{algorithm}"]
    crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    expect("CRC32", s3.head_object(Bucket=name, Key="CRC32", ChecksumMode="ENABLED")["ChecksumCRC32"], crc32)
    s3.put_object(Bucket=name, Key="said", Body=body, ChecksumCRC32=crc32)
    wrong = base64.b64encode(b"\0\0\0\0").decode()
    refused("a wrong CRC32", "BadDigest", s3.put_object, Bucket=name, Key="no", Body=body, ChecksumCRC32=wrong)
    md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    refused("a wrong MD5", "BadDigest", s3.put_object, Bucket=name, Key="no", Body=body, ContentMD5=md5)
    refused("no MD5", "InvalidDigest", s3.put_object, Bucket=name, Key="no", Body=body, ContentMD5="!!!!")
    refused("nothing of that is there", "404", s3.head_object, Bucket=name, Key="no")
    attributes = s3.get_object_attributes(Bucket=name, Key="CRC32", ObjectAttributes=["Checksum", "ObjectSize", "ETag"])
    expect("attributes", (attributes["ObjectSize"], attributes["Checksum"]["ChecksumCRC32"]), (len(body), crc32))


def uploads_in_parts_come_together():
    s3, name = client(), bucket("boto-parts")
    parts = [os.urandom(5 * MB), os.urandom(5 * MB), os.urandom(1000)]
    whole = b"".join(parts)
    upload = s3.create_multipart_upload(Bucket=name, Key="k", ContentType="text/plain", Metadata={"a": "b"}, Tagging="x=1")
    at = {"Bucket": name, "Key": "k", "UploadId": upload["UploadId"]}
    etags = [s3.upload_part(PartNumber=number, Body=part, **at)["ETag"] for number, part in enumerate(parts, 1)]
    s3.upload_part(PartNumber=2, Body=os.urandom(5 * MB), **at)
    etags[1] = s3.upload_part(PartNumber=2, Body=parts[1], **at)["ETag"]
    listed = s3.list_parts(MaxParts=2, **at)
    expect("parts", ([part["PartNumber"] for part in listed["Parts"]], listed["IsTruncated"]), ([1, 2], True))
    expect("uploads", [found["Key"] for found in s3.list_multipart_uploads(Bucket=name)["Uploads"]], ["k"])
    refused("nothing yet", "404", s3.head_object, Bucket=name, Key="k")
    named = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    order = {"Parts": named[::-1]}
    refused("order", "InvalidPartOrder", s3.complete_multipart_upload, MultipartUpload=order, **at)
    other = {"Parts": [{"PartNumber": 1, "ETag": etags[2]}]}
    refused("another part", "InvalidPart", s3.complete_multipart_upload, MultipartUpload=other, **at)
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **at)
    md5s = b"".join(hashlib.md5(part).digest() for part in parts)
    expect("the ETag", done["ETag"], f'"{hashlib.md5(md5s).hexdigest()}-3"')
    again = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **at)
    expect("asked twice", again["ETag"], done["ETag"])
    got = s3.get_object(Bucket=name, Key="k")
    expect("the whole", got["Body"].read() == whole, True)
    expect("its head", (got["ContentType"], got["Metadata"], got["TagCount"]), ("text/plain", {"a": "b"}, 1))
    second = s3.get_object(Bucket=name, Key="k", PartNumber=2)
    expect("part 2", (second["Body"].read() == parts[1], second["PartsCount"]), (True, 3))
    across = s3.get_object(Bucket=name, Key="k", Range=f"bytes={5 * MB - 10}-{10 * MB + 9}")["Body"].read()
    expect("a range across parts", across == whole[5 * MB - 10 : 10 * MB + 10], True)
    copied = s3.create_multipart_upload(Bucket=name, Key="copy")
    at = {"Bucket": name, "Key": "copy", "UploadId": copied["UploadId"]}
    source = {"Bucket": name, "Key": "k"}
    result = s3.upload_part_copy(PartNumber=1, CopySource=source, CopySourceRange=f"bytes=0-{6 * MB}", **at)
    named = [{"PartNumber": 1, "ETag": result["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **at)
    expect("a part of another object", s3.get_object(**{k: at[k] for k in ("Bucket", "Key")})["Body"].read() == whole[: 6 * MB + 1], True)
    given_up = s3.create_multipart_upload(Bucket=name, Key="gone")["UploadId"]
    s3.abort_multipart_upload(Bucket=name, Key="gone", UploadId=given_up)
    refused("given up", "NoSuchUpload", s3.list_parts, Bucket=name, Key="gone", UploadId=given_up)
    small = s3.create_multipart_upload(Bucket=name, Key="small")["UploadId"]
    at = {"Bucket": name, "Key": "small", "UploadId": small}
    named = [{"PartNumber": number, "ETag": s3.upload_part(PartNumber=number, Body=b"x", **at)["ETag"]} for number in (1, 2)]
    refused("too small", "EntityTooSmall", s3.complete_multipart_upload, MultipartUpload={"Parts": named}, **at)


def checksums_of_parts_make_one_of_the_whole():
    s3, name = client(), bucket("boto-part-sums")
    parts = [os.urandom(5 * MB), os.urandom(1000)]
    for algorithm, kind in [("SHA256", "COMPOSITE"), ("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT")]:
        key = f"{algorithm}-{kind}"
        upload = s3.create_multipart_upload(Bucket=name, Key=key, ChecksumAlgorithm=algorithm, ChecksumType=kind)
        at = {"Bucket": name, "Key": key, "UploadId": upload["UploadId"]}
        named = []
        for number, part in enumerate(parts, 1):
            told = s3.upload_part(PartNumber=number, Body=part, ChecksumAlgorithm=algorithm, **at)
            member = f"Checksum{algorithm}"
            named.append({"PartNumber": number, "ETag": told["ETag"], member: told[member]})
        done = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **at)
        expect("its kind", done["ChecksumType"], kind)
        if kind == "FULL_OBJECT":
            whole = base64.b64encode(zlib.crc32(b"".join(parts)).to_bytes(4, "big")).decode()
            expect("CRC32 of the whole", done["ChecksumCRC32"], whole)
        else:
            expect("of parts", done[f"Checksum{algorithm}"].endswith("-2"), True)


def copies_take_or_change_the_head():
    s3, name = client(), bucket("boto-copies")
    other = bucket("boto-copies-2")
    etag = s3.put_object(Bucket=name, Key="a", Body=b"body", ContentType="text/a", Metadata={"m": "1"}, Tagging="t=1")["ETag"]
    source = {"Bucket": name, "Key": "a"}
    s3.copy_object(Bucket=other, Key="b/ä", CopySource=source)
    got = s3.get_object(Bucket=other, Key="b/ä")
    expect("a copy", (got["Body"].read(), got["ContentType"], got["Metadata"]), (b"body", "text/a", {"m": "1"}))
    expect("its tags", s3.get_object_tagging(Bucket=other, Key="b/ä")["TagSet"], [{"Key": "t", "Value": "1"}])
    s3.copy_object(Bucket=other, Key="c", CopySource=source, MetadataDirective="REPLACE", ContentType="text/c",
                   TaggingDirective="REPLACE", Tagging="t=2")
    got = s3.head_object(Bucket=other, Key="c")
    expect("another head", (got["ContentType"], got["Metadata"]), ("text/c", {}))
    refused("onto itself", "InvalidRequest", s3.copy_object, Bucket=name, Key="a", CopySource=source)
    s3.copy_object(Bucket=name, Key="a", CopySource=source, MetadataDirective="REPLACE", Metadata={"m": "2"})
    expect("changed in place", s3.head_object(Bucket=name, Key="a")["Metadata"], {"m": "2"})
    refused("conditions", "PreconditionFailed", s3.copy_object, Bucket=other, Key="d", CopySource=source, CopySourceIfNoneMatch=etag)
    refused("no source", "NoSuchKey", s3.copy_object, Bucket=other, Key="d", CopySource={"Bucket": name, "Key": "none"})


def versions_are_kept_hidden_and_brought_back():
    s3, name = client(), bucket("boto-versions")
    s3.put_object(Bucket=name, Key="k", Body=b"before")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    expect("status", s3.get_bucket_versioning(Bucket=name)["Status"], "Enabled")
    first = s3.put_object(Bucket=name, Key="k", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=name, Key="k", Body=b"2")["VersionId"]
    expect("newest", s3.get_object(Bucket=name, Key="k")["Body"].read(), b"2")
    expect("older", s3.get_object(Bucket=name, Key="k", VersionId=first)["Body"].read(), b"1")
    expect("oldest", s3.get_object(Bucket=name, Key="k", VersionId="null")["Body"].read(), b"before")
    marker = s3.delete_object(Bucket=name, Key="k")
    expect("a marker", marker["DeleteMarker"], True)
    answer = refused("hidden", "NoSuchKey", s3.get_object, Bucket=name, Key="k")
    expect("why", answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-delete-marker"), "true")
    refused("the marker", "MethodNotAllowed", s3.get_object, Bucket=name, Key="k", VersionId=marker["VersionId"])
    listed = s3.list_object_versions(Bucket=name)
    expect("versions", [it["VersionId"] for it in listed["Versions"]], [second, first, "null"])
    expect("markers", [(it["VersionId"], it["IsLatest"]) for it in listed["DeleteMarkers"]], [(marker["VersionId"], True)])
    found = [it["VersionId"] for page in s3.get_paginator("list_object_versions").paginate(
        Bucket=name, PaginationConfig={"PageSize": 1}) for it in page.get("Versions", []) + page.get("DeleteMarkers", [])]
    expect("pages of one", found, [marker["VersionId"], second, first, "null"])
    s3.delete_object(Bucket=name, Key="k", VersionId=marker["VersionId"])
    expect("back", s3.get_object(Bucket=name, Key="k")["Body"].read(), b"2")
    s3.copy_object(Bucket=name, Key="k", CopySource={"Bucket": name, "Key": "k", "VersionId": first})
    expect("an older one again", s3.get_object(Bucket=name, Key="k")["Body"].read(), b"1")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    expect("suspended", s3.put_object(Bucket=name, Key="k", Body=b"3").get("VersionId"), None)
    expect("the null version", s3.head_object(Bucket=name, Key="k")["VersionId"], "null")
    refused("not empty", "BucketNotEmpty", s3.delete_bucket, Bucket=name)
    listed = s3.list_object_versions(Bucket=name)
    gone = [{"Key": it["Key"], "VersionId": it["VersionId"]} for it in listed["Versions"] + listed.get("DeleteMarkers", [])]
    s3.delete_objects(Bucket=name, Delete={"Objects": gone})
    s3.delete_bucket(Bucket=name)


def tags_policies_rules_and_sites_are_kept():
    s3, name = client(), bucket("boto-settings")
    s3.put_object(Bucket=name, Key="k", Body=b"")
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "ä"}]
    s3.put_object_tagging(Bucket=name, Key="k", Tagging={"TagSet": tags})
    expect("tags", s3.get_object_tagging(Bucket=name, Key="k")["TagSet"], tags)
    s3.delete_object_tagging(Bucket=name, Key="k")
    expect("no tags", s3.get_object_tagging(Bucket=name, Key="k")["TagSet"], [])
    many = [{"Key": str(number), "Value": ""} for number in range(11)]
    refused("too many", "InvalidTag", s3.put_object_tagging, Bucket=name, Key="k", Tagging={"TagSet": many})
    refused("none", "NoSuchTagSet", s3.get_bucket_tagging, Bucket=name)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    expect("of the bucket", s3.get_bucket_tagging(Bucket=name)["TagSet"], tags)
    refused("no policy", "NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=name)
    refused("no JSON", "MalformedPolicy", s3.put_bucket_policy, Bucket=name, Policy="{")
    refused("no rules", "NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=name)
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
    expect("rules", s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"], [rule])
    s3.delete_bucket_lifecycle(Bucket=name)
    site = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "404.html"}}
    s3.put_bucket_website(Bucket=name, WebsiteConfiguration=site)
    found = s3.get_bucket_website(Bucket=name)
    expect("a site", {member: found[member] for member in site}, site)
    expect("the location", s3.get_bucket_location(Bucket=name)["LocationConstraint"], None)
    refused("made twice", "BucketAlreadyOwnedByYou", s3.create_bucket, Bucket=name)
    refused("no such bucket", "NoSuchBucket", s3.list_objects_v2, Bucket="boto-none")
    expect("owned", s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"][0]["ObjectOwnership"],
           "BucketOwnerEnforced")
    refused("ACLs", "AccessControlListNotSupported", s3.put_object, Bucket=name, Key="k", Body=b"", ACL="public-read")


def ask(method, path, headers=None, body=None):
    request = urllib.request.Request(URL + path, data=body, method=method, headers=headers or {})
    try:
        return urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        return error


def pages_of_other_origins_are_told_what_they_may():
    s3, name = client(), bucket("boto-cors")
    refused("no rules", "NoSuchCORSConfiguration", s3.get_bucket_cors, Bucket=name)
    rule = {"AllowedOrigins": ["https://*.example.com"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule]})
    expect("rules", s3.get_bucket_cors(Bucket=name)["CORSRules"], [rule])
    asks = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PUT"}
    told = ask("OPTIONS", f"/{name}/k", asks)
    expect("a preflight", (told.status, told.headers["Access-Control-Allow-Origin"]), (200, "https://app.example.com"))
    expect("another origin", ask("OPTIONS", f"/{name}/k", {**asks, "Origin": "https://example.org"}).status, 403)
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "k"}).removeprefix(URL)
    got = ask("GET", url, {"Origin": "https://app.example.com"})
    expect("an answer", (got.read(), got.headers["Access-Control-Expose-Headers"]), (b"x", "ETag"))


def a_policy_opens_a_prefix_to_everybody_and_nothing_else():
    import json

    s3, name = client(), bucket("boto-public")
    s3.put_object(Bucket=name, Key="open/a.html", Body=b"<b>", ContentType="text/html")
    s3.put_object(Bucket=name, Key="closed", Body=b"secret")
    expect("private", ask("GET", f"/{name}/open/a.html").status, 403)
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/open/*"}]}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    expect("kept", json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]), policy)
    expect("public", s3.get_bucket_policy_status(Bucket=name)["PolicyStatus"]["IsPublic"], True)
    got = ask("GET", f"/{name}/open/a.html")
    expect("open", (got.status, got.read()), (200, b"<b>"))
    expect("nosniff", got.headers["X-Content-Type-Options"], "nosniff")
    for method, path in [("GET", "closed"), ("GET", ""), ("GET", "open/none"), ("DELETE", "open/a.html"), ("PUT", "open/b")]:
        expect(f"{method} {path}", ask(method, f"/{name}/{path}", body=b"" if method == "PUT" else None).status, 403)
    page = ask("GET", f"/{name}/open/a.html?response-content-type=text/html")
    expect("headers are chosen by those who sign", page.status, 400)
    s3.delete_bucket_policy(Bucket=name)
    expect("closed again", ask("GET", f"/{name}/open/a.html").status, 403)


def presigned_urls_and_forms_write_and_read():
    s3, name = client(), bucket("boto-presigned")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": name, "Key": "ä b", "ContentType": "text/plain"})
    put = ask("PUT", url.removeprefix(URL), {"Content-Type": "text/plain"}, b"by url")
    expect("put", put.status, 200)
    params = {"Bucket": name, "Key": "ä b", "ResponseContentDisposition": "attachment; filename=x.txt"}
    got = ask("GET", s3.generate_presigned_url("get_object", Params=params).removeprefix(URL))
    expect("get", (got.read(), got.headers["Content-Disposition"]), (b"by url", "attachment; filename=x.txt"))
    import requests

    form = s3.generate_presigned_post(name, "forms/${filename}", Conditions=[["content-length-range", 1, 1000]])
    done = requests.post(form["url"], data=form["fields"], files={"file": ("a.txt", b"by form")}, timeout=30)
    expect("a form", done.status_code, 204)
    expect("what it brought", s3.get_object(Bucket=name, Key="forms/a.txt")["Body"].read(), b"by form")
    done = requests.post(form["url"], data=form["fields"], files={"file": ("a.txt", b"x" * 1001)}, timeout=30)
    expect("too large", done.status_code, 400)


if __name__ == "__main__":
    all_of([
        objects_have_a_head_a_body_and_an_etag,
        ranges_and_conditions_are_those_of_http,
        listings_have_pages_groups_and_odd_keys,
        checksums_of_every_kind_are_kept_and_compared,
        uploads_in_parts_come_together,
        checksums_of_parts_make_one_of_the_whole,
        copies_take_or_change_the_head,
        versions_are_kept_hidden_and_brought_back,
        tags_policies_rules_and_sites_are_kept,
        pages_of_other_origins_are_told_what_they_may,
        a_policy_opens_a_prefix_to_everybody_and_nothing_else,
        presigned_urls_and_forms_write_and_read,
    ])
