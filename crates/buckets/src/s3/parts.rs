//! What there is of uploads, and of objects in parts.

use flagbase_core::buckets::{Act, Action, Listing, Object, Piece, Position, Upload, UploadPart, no_object};
use s3s::{
    S3Request, S3Response, S3Result, dto,
    dto::{
        GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts, Initiator,
        ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput,
        MultipartUpload, ObjectAttributes, ObjectPart, StorageClass,
    },
    s3_error,
};

use super::{
    Facade, checksums,
    conditions::etag,
    guest::Guest,
    listing::{Words, most, owner},
    reading::version_told,
    refusals::refused,
    times,
};

impl Facade {
    pub(super) async fn parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let at = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str());
        let (bucket, upload) = self.upload(&guest, Action::ListParts, at).await?;
        let limit = most(input.max_parts)?;
        let after = marker(input.part_number_marker)?;
        // One more tells whether it goes on.
        let listed =
            self.buckets.objects().parts(&bucket, &upload.id, (after, limit.saturating_add(1))).await;
        let mut parts = listed.map_err(refused)?;
        let truncated = parts.len() > limit as usize;
        parts.truncate(limit as usize);
        let next = parts.last().map_or(after, |part| part.number);
        let (checksum_algorithm, checksum_type) = (
            upload.form.checksum.map(|(algorithm, _)| checksums::named(algorithm)),
            upload.form.checksum.map(|(_, composite)| checksums::kind(composite)),
        );
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            checksum_algorithm,
            checksum_type,
            initiator: Some(initiator(&upload)),
            is_truncated: Some(truncated),
            key: Some(input.key),
            max_parts: i32::try_from(limit).ok(),
            next_part_number_marker: i32::try_from(next).ok(),
            owner: Some(owner()),
            part_number_marker: i32::try_from(after).ok(),
            parts: Some(parts.iter().map(part).collect()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            upload_id: Some(input.upload_id),
            ..ListPartsOutput::default()
        }))
    }

    pub(super) async fn uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let bucket = self.admit(&guest, &input.bucket, Act::new(Action::ListUploads, &prefix))?;
        let words = Words::of(input.encoding_type.as_ref());
        let limit = most(input.max_uploads)?;
        let key = input.key_marker.clone().filter(|key| !key.is_empty());
        let version = input.upload_id_marker.clone().filter(|_| key.is_some()).unwrap_or_default();
        let listing = Listing {
            prefix,
            delimiter: input.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
            after: key.map(|key| Position { key, version }),
            versions: false,
            limit,
        };
        let listed = if limit == 0 {
            flagbase_core::buckets::UploadsListed::default()
        } else {
            self.buckets.objects().uploads(&bucket, &listing).await.map_err(refused)?
        };
        let next = listed.next.as_ref();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            common_prefixes: Some(words.groups(&listed.prefixes)),
            delimiter: input.delimiter.filter(|it| !it.is_empty()).map(|it| words.word(&it)),
            encoding_type: input.encoding_type,
            is_truncated: Some(next.is_some()),
            key_marker: Some(words.word(&input.key_marker.unwrap_or_default())),
            max_uploads: i32::try_from(limit).ok(),
            next_key_marker: next.map(|next| words.word(&next.key)),
            next_upload_id_marker: next.map(|next| next.version.clone()),
            prefix: Some(words.word(&input.prefix.unwrap_or_default())),
            upload_id_marker: input.upload_id_marker,
            uploads: Some(listed.uploads.iter().map(|(upload, _)| told(upload, words)).collect()),
            ..ListMultipartUploadsOutput::default()
        }))
    }

    pub(super) async fn attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let guest = Guest::of(&request)?;
        let input = request.input;
        let action = if input.version_id.is_some() { Action::GetVersion } else { Action::GetObject };
        let bucket = self.admit(&guest, &input.bucket, Act::new(action, &input.key))?;
        let found = self.buckets.objects().head(&bucket, &input.key, input.version_id.as_deref()).await;
        let found = found.map_err(refused)?.filter(|object| !object.marker);
        let object = found.ok_or_else(|| refused(no_object(&bucket, &input.key)))?;
        // Some clients name all of them in one header.
        let all: Vec<&str> =
            input.object_attributes.iter().flat_map(|said| said.as_str().split(',')).collect();
        let asked = |name: &str| all.iter().any(|said| said.trim() == name);
        let in_parts = asked(ObjectAttributes::OBJECT_PARTS) && object.etag.contains('-');
        let (limit, after) = (most(input.max_parts)?, marker(input.part_number_marker)?);
        Ok(S3Response::new(GetObjectAttributesOutput {
            checksum: asked(ObjectAttributes::CHECKSUM).then(|| checksum(&object)),
            e_tag: asked(ObjectAttributes::ETAG).then(|| etag(&object.etag)),
            last_modified: Some(times::told(object.modified)),
            object_parts: in_parts.then(|| pieces(&object.pieces, after, limit)),
            object_size: i64::try_from(object.size).ok().filter(|_| asked(ObjectAttributes::OBJECT_SIZE)),
            storage_class: asked(ObjectAttributes::STORAGE_CLASS)
                .then(|| StorageClass::from_static(StorageClass::STANDARD)),
            version_id: version_told(&bucket, &object),
            ..GetObjectAttributesOutput::default()
        }))
    }
}

fn marker(said: Option<i32>) -> S3Result<u32> {
    let number = u32::try_from(said.unwrap_or_default());
    number.map_err(|_| s3_error!(InvalidArgument, "the number of a part is at least 0"))
}

fn part(part: &UploadPart) -> dto::Part {
    let (sums, _) = checksums::told(part.checksum.as_ref());
    let [checksum_crc32, checksum_crc32c, checksum_crc64nvme, checksum_sha1, checksum_sha256] = sums;
    dto::Part {
        checksum_crc32,
        checksum_crc32c,
        checksum_crc64nvme,
        checksum_sha1,
        checksum_sha256,
        e_tag: Some(etag(&part.etag)),
        last_modified: Some(times::told(part.modified)),
        part_number: i32::try_from(part.number).ok(),
        size: i64::try_from(part.piece.size).ok(),
    }
}

fn told(upload: &Upload, words: Words) -> MultipartUpload {
    MultipartUpload {
        checksum_algorithm: upload.form.checksum.map(|(algorithm, _)| checksums::named(algorithm)),
        checksum_type: upload.form.checksum.map(|(_, composite)| checksums::kind(composite)),
        initiated: Some(times::told(upload.begun)),
        initiator: Some(initiator(upload)),
        key: Some(words.word(&upload.key)),
        owner: Some(owner()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        upload_id: Some(upload.id.clone()),
    }
}

fn initiator(upload: &Upload) -> Initiator {
    let name = upload.form.owner.clone();
    Initiator { display_name: Some(name.clone()), id: Some(name) }
}

fn checksum(object: &Object) -> dto::Checksum {
    let (sums, checksum_type) = checksums::told(Some(&checksums::of_object(object)));
    let [checksum_crc32, checksum_crc32c, checksum_crc64nvme, checksum_sha1, checksum_sha256] = sums;
    dto::Checksum {
        checksum_crc32,
        checksum_crc32c,
        checksum_crc64nvme,
        checksum_sha1,
        checksum_sha256,
        checksum_type,
    }
}

/// The parts of an object after number `after`, at most `limit`.
fn pieces(pieces: &[Piece], after: u32, limit: u32) -> GetObjectAttributesParts {
    let numbered = pieces.iter().zip(1_i32..).skip(after as usize).take(limit as usize);
    let parts: Vec<ObjectPart> = numbered
        .map(|(piece, number)| ObjectPart {
            part_number: Some(number),
            size: i64::try_from(piece.size).ok(),
            ..ObjectPart::default()
        })
        .collect();
    let last = parts.last().and_then(|part| part.part_number);
    GetObjectAttributesParts {
        is_truncated: Some((after as usize).saturating_add(parts.len()) < pieces.len()),
        max_parts: i32::try_from(limit).ok(),
        next_part_number_marker: last,
        part_number_marker: i32::try_from(after).ok(),
        parts: Some(parts),
        total_parts_count: i32::try_from(pieces.len()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_object_are_told_in_pages() {
        let all: Vec<Piece> = (1..=5).map(|size| Piece { blob: String::new(), size, crc64: 0 }).collect();
        let page = pieces(&all, 1, 2);
        let told: Vec<_> = page.parts.unwrap().iter().map(|part| (part.part_number, part.size)).collect();
        assert_eq!(told, [(Some(2), Some(2)), (Some(3), Some(3))]);
        assert_eq!((page.is_truncated, page.next_part_number_marker), (Some(true), Some(3)));
        assert_eq!(page.total_parts_count, Some(5));
        assert_eq!(pieces(&all, 3, 1000).is_truncated, Some(false));
    }

    #[test]
    fn no_part_comes_before_the_first() {
        assert_eq!(marker(None).unwrap(), 0);
        assert_eq!(marker(Some(-1)).unwrap_err().code().as_str(), "InvalidArgument");
    }
}
