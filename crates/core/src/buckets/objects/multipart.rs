//! Uploads: parts that become an object, written at once in any order, or appended one after another.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::StreamExt as _;
use parking_lot::Mutex;

use super::{Bucket, Condition, Fits, Object, ObjectHead, Objects, Piece, Terms, check};
use crate::{
    buckets::{
        Algorithm, Checksum, Digested, Digests, IndexError, Listing, MOST_PARTS, NULL_VERSION, Upload,
        UploadForm, UploadPart, UploadsListed, checksum_of_parts, crc64_of, etag_of_parts, opaque_etag,
    },
    catalog::Actor,
    functions::{Body, BodyFault, BodyStream},
    refusal::{Class, Refusal},
};

/// Parts read at once.
const PAGE: u32 = 1000;

/// An upload to be begun.
#[derive(Debug, Default)]
pub struct Begin<'a> {
    /// The key of what it becomes.
    pub key: &'a str,
    /// The head of what it becomes.
    pub head: ObjectHead,
    /// The tags of what it becomes.
    pub tags: BTreeMap<String, String>,
    /// What kind of upload it is.
    pub form: UploadForm,
}

/// Where a part comes from that is copied.
#[derive(Debug, Clone, Copy)]
pub struct PartOf<'a> {
    /// The key of what is copied.
    pub from: &'a str,
    /// Its version; `None`: the newest.
    pub version: Option<&'a str>,
    /// From this byte up to before that one; `None`: all of it.
    pub range: Option<(u64, u64)>,
}

/// How an upload is completed.
#[derive(Debug, Default)]
pub struct Complete {
    /// The parts in order: numbers, `ETag`s, and checksums when they are said; `None`: all there are.
    pub parts: Option<Vec<(u32, String, Option<Checksum>)>>,
    /// What must come out for the whole.
    pub checksum: Option<Checksum>,
    /// How many bytes it must be.
    pub size: Option<u64>,
    /// The least that every part but the last one must have, in bytes.
    pub least: u64,
    /// What must be at the key now.
    pub condition: Condition,
}

/// What became of bytes that were appended.
#[derive(Debug)]
pub struct Appended {
    /// How many bytes of the upload there are now.
    pub offset: u64,
    /// Why the body broke off; what came before is kept.
    pub broken: Option<Refusal>,
}

impl Objects {
    /// Begins an upload.
    pub async fn begin(&self, bucket: &Bucket, begin: Begin<'_>) -> Result<Upload, Refusal> {
        let Begin { key, head, tags, form } = begin;
        check((key, &head, &tags))?;
        if let (Some(length), Some(most)) = (form.length, bucket.settings.quota.bytes)
            && length > most
        {
            return Err(IndexError::QuotaBytes(most).into());
        }
        let now = self.feed.clock().now();
        let upload = Upload { id: self.id(), key: key.to_owned(), head, tags, form, begun: now };
        let noted = self.uploads.begin(&bucket.id, upload.clone()).await;
        noted.map_err(|error| Self::refused(bucket, error))?;
        Ok(upload)
    }

    /// One upload, or a refusal when there is no such upload in the bucket.
    pub async fn upload(&self, bucket: &Bucket, id: &str) -> Result<Upload, Refusal> {
        Ok(self.uploads.get(&bucket.id, id).await?.ok_or(IndexError::NoUpload)?)
    }

    /// Keeps a part in place of the one with its number.
    pub async fn part(
        &self,
        bucket: &Bucket,
        (id, number): (&str, u32),
        (body, digests): (Body, Digests),
    ) -> Result<UploadPart, Refusal> {
        check_number(number)?;
        self.upload(bucket, id).await?;
        let (piece, digested) = self.keep(body, digests).await?;
        self.note_part(bucket, (id, number), piece, digested).await
    }

    /// Keeps bytes of an object as a part. A whole object of one piece is not moved.
    pub async fn part_of(
        &self,
        (source, target): (&Bucket, &Bucket),
        (id, number): (&str, u32),
        of: PartOf<'_>,
        (digests, fits): (Digests, &Fits),
    ) -> Result<Option<UploadPart>, Refusal> {
        check_number(number)?;
        self.upload(target, id).await?;
        let found = self.head(source, of.from, of.version).await?.filter(|object| !object.marker);
        let Some(object) = found else { return Ok(None) };
        fits(&object)?;
        let range = of.range.unwrap_or((0, object.size));
        if range.1 > object.size || range.0 > range.1 {
            let message = format!("the object has {} bytes; name a range within them", object.size);
            return Err(Refusal::new(Class::Malformed, "invalid_range", message));
        }
        let plain = digests.keep.is_none() && digests.expect.is_empty() && object.checksum.is_none();
        let is_md5 = object.etag.len() == 32 && !object.etag.contains('-');
        if let ([_], true, true) = (object.pieces.as_slice(), plain && range == (0, object.size), is_md5)
            && let Some(mut pieces) = self.copied(&object.pieces).await?
            && let Some(piece) = pieces.pop()
        {
            let (size, crc64) = (piece.size, piece.crc64);
            let md5 = hex::decode(&object.etag).ok().and_then(|raw| raw.try_into().ok());
            let digested = Digested { size, crc64, md5, checksum: None };
            return self.note_part(target, (id, number), piece, digested).await.map(Some);
        }
        let Some(bytes) = self.bytes(&object.pieces, range).await? else { return Ok(None) };
        let (piece, digested) = self.keep(Body::Stream(bytes, Some(range.1 - range.0)), digests).await?;
        self.note_part(target, (id, number), piece, digested).await.map(Some)
    }

    async fn note_part(
        &self,
        bucket: &Bucket,
        (id, number): (&str, u32),
        piece: Piece,
        digested: Digested,
    ) -> Result<UploadPart, Refusal> {
        let (etag, modified) = (digested.etag(), self.feed.clock().now());
        let part = UploadPart { number, piece, etag, checksum: digested.checksum, modified };
        match self.uploads.part(&bucket.id, id, part.clone(), bucket.settings.quota).await {
            Ok(freed) => {
                self.free(&freed).await;
                Ok(part)
            }
            Err(error) => {
                if !matches!(error, IndexError::Unavailable(_)) {
                    self.free(&[part.piece.blob]).await;
                }
                Err(Self::refused(bucket, error))
            }
        }
    }

    /// Parts by number, after `after`, at most `limit`.
    pub async fn parts(
        &self,
        bucket: &Bucket,
        id: &str,
        (after, limit): (u32, u32),
    ) -> Result<Vec<UploadPart>, Refusal> {
        Ok(self.uploads.parts(&bucket.id, id, after, limit.min(PAGE)).await?)
    }

    /// A page of uploads under way, by key and then by id.
    pub async fn uploads(&self, bucket: &Bucket, listing: &Listing) -> Result<UploadsListed, Refusal> {
        let listing = Listing { limit: listing.limit.min(super::MOST_LISTED), ..listing.clone() };
        Ok(self.uploads.list(&bucket.id, &listing).await?)
    }

    /// Gives an upload up. Returns whether there was such an upload.
    pub async fn abort(&self, bucket: &Bucket, id: &str) -> Result<bool, Refusal> {
        let freed = self.uploads.abort(&bucket.id, id).await?;
        self.free(freed.as_deref().unwrap_or_default()).await;
        Ok(freed.is_some())
    }

    /// How many bytes of an upload there are.
    pub async fn offset(&self, bucket: &Bucket, id: &str) -> Result<u64, Refusal> {
        Ok(self.all_parts(bucket, id).await?.iter().map(|part| part.piece.size).sum())
    }

    /// Appends bytes to an upload that has `offset` bytes. What came before a body broke off is kept, unless a digest was
    /// asked for.
    pub async fn append(
        &self,
        bucket: &Bucket,
        (id, offset): (&str, u64),
        (body, digests): (Body, Digests),
    ) -> Result<Appended, Refusal> {
        let _turn = Turn::take(&self.appending, id)?;
        let upload = self.upload(bucket, id).await?;
        let parts = self.all_parts(bucket, id).await?;
        let there: u64 = parts.iter().map(|part| part.piece.size).sum();
        if there != offset {
            let message = format!("the upload has {there} bytes, not {offset}; go on from there");
            return Err(Refusal::new(Class::Conflict, "upload_offset", message));
        }
        let number = parts.last().map_or(0, |part| part.number) + 1;
        check_number(number)?;
        let most = upload.form.length.map_or(u64::MAX, |length| length.saturating_sub(there));
        let whole = digests.expect.is_empty() && digests.late.is_none();
        let came = Arc::new(Came { whole, ..Came::default() });
        let bytes = lenient(body.into_stream(), most, Arc::clone(&came));
        let (piece, digested) = self.keep(Body::Stream(bytes, None), digests).await?;
        if came.over.load(Ordering::Acquire) {
            self.free(&[piece.blob]).await;
            let message = format!("more bytes came than the {most} that are left of the upload");
            return Err(Refusal::new(Class::Malformed, "body_too_large", message));
        }
        let offset = there + piece.size;
        if piece.size == 0 {
            self.free(&[piece.blob]).await;
        } else {
            self.note_part(bucket, (id, number), piece, digested).await?;
        }
        let broken = came.fault.lock().take().map(|fault| crate::blobs::BlobError::Source(fault).into());
        Ok(Appended { offset, broken })
    }

    /// Makes an upload an object.
    pub async fn complete(
        &self,
        actor: Actor,
        bucket: &Bucket,
        id: &str,
        complete: Complete,
    ) -> Result<Object, Refusal> {
        let upload = self.upload(bucket, id).await?;
        let parts = chosen(self.all_parts(bucket, id).await?, complete.parts, complete.least)?;
        let object = self.whole(bucket, upload, &parts)?;
        if let Some(expected) = complete.size.filter(|size| *size != object.size) {
            let message = format!("the parts have {} bytes, not {expected}", object.size);
            return Err(Refusal::new(Class::Malformed, "incomplete_body", message));
        }
        if let Some(expected) = &complete.checksum {
            expect_checksum(expected, &object, &parts)?;
        }
        let commit = self.told(actor, &bucket.id, "object_created", &object);
        let terms = Terms { condition: complete.condition, quota: bucket.settings.quota };
        let placed = self.uploads.complete(&bucket.id, id, (object.clone(), terms), commit).await;
        let placed = placed.map_err(|error| Self::refused(bucket, error))?;
        Ok(self.settle(placed).await?.unwrap_or(object))
    }

    /// The object that these parts are.
    fn whole(&self, bucket: &Bucket, upload: Upload, parts: &[UploadPart]) -> Result<Object, Refusal> {
        let pieces: Vec<Piece> = parts.iter().map(|part| part.piece.clone()).collect();
        let crc64 = crc64_of(&pieces);
        let size = pieces.iter().map(|piece| piece.size).sum();
        let md5 = |part: &UploadPart| hex::decode(&part.etag).ok()?.try_into().ok();
        let md5s: Option<Vec<[u8; 16]>> = parts.iter().map(md5).collect();
        let etag = md5s.map_or_else(|| opaque_etag(crc64, size), |md5s| etag_of_parts(&md5s));
        let checksum = upload.form.checksum.map(|(algorithm, composite)| {
            of_parts(algorithm, composite, (parts, crc64)).ok_or_else(|| {
                let message = format!("a part has no {algorithm}; send it again with one");
                Refusal::new(Class::Malformed, "checksum_missing", message)
            })
        });
        Ok(Object {
            key: upload.key,
            version: self.version(bucket),
            size,
            etag,
            crc64,
            checksum: checksum.transpose()?,
            modified: self.feed.clock().now(),
            head: upload.head,
            tags: upload.tags,
            pieces,
            ..Object::default()
        })
    }

    async fn all_parts(&self, bucket: &Bucket, id: &str) -> Result<Vec<UploadPart>, Refusal> {
        let mut parts: Vec<UploadPart> = Vec::new();
        loop {
            let after = parts.last().map_or(0, |part| part.number);
            let page = self.uploads.parts(&bucket.id, id, after, PAGE).await?;
            let full = page.len() >= PAGE as usize;
            parts.extend(page);
            if !full {
                return Ok(parts);
            }
        }
    }
}

/// The checksum of the whole, from those of its parts.
fn of_parts(algorithm: Algorithm, composite: bool, (parts, crc64): (&[UploadPart], u64)) -> Option<Checksum> {
    if algorithm == Algorithm::Crc64Nvme && !composite {
        return Some(Checksum::of(algorithm, &crc64.to_be_bytes()));
    }
    let told: Option<Vec<_>> =
        parts.iter().map(|part| Some((part.checksum.clone()?, part.piece.size))).collect();
    checksum_of_parts(algorithm, composite, &told?)
}

fn expect_checksum(expected: &Checksum, object: &Object, parts: &[UploadPart]) -> Result<(), Refusal> {
    let composite = expected.value.contains('-');
    let found = match &object.checksum {
        Some(known) if known.algorithm == expected.algorithm && known.composite == composite => {
            Some(known.clone())
        }
        _ => of_parts(expected.algorithm, composite, (parts, object.crc64)),
    };
    match found {
        Some(found) if found.value == expected.value => Ok(()),
        Some(found) => {
            let message = format!(
                "the {} of the whole is {}, not {}",
                expected.algorithm,
                found.value,
                crate::buckets::shown(&expected.value)
            );
            Err(Refusal::new(Class::Malformed, "checksum_mismatch", message))
        }
        None => {
            let message = format!("the {} of the whole does not follow from its parts", expected.algorithm);
            Err(Refusal::new(Class::Malformed, "checksum_missing", message))
        }
    }
}

/// The parts that were named, when they are what was said of them.
fn chosen(
    there: Vec<UploadPart>,
    named: Option<Vec<(u32, String, Option<Checksum>)>>,
    least: u64,
) -> Result<Vec<UploadPart>, Refusal> {
    let Some(named) = named else { return Ok(there) };
    if named.is_empty() {
        return Err(Refusal::new(Class::Malformed, "malformed_parts", "name at least one part"));
    }
    if !named.windows(2).all(|pair| matches!(pair, [(before, ..), (after, ..)] if before < after)) {
        let message = "the parts are not in ascending order; sort them by number";
        return Err(Refusal::new(Class::Malformed, "invalid_part_order", message));
    }
    let mut there: BTreeMap<u32, UploadPart> = there.into_iter().map(|part| (part.number, part)).collect();
    let mut parts = Vec::with_capacity(named.len());
    for (number, etag, checksum) in named {
        let same = |part: &UploadPart| {
            part.etag == etag && (checksum.is_none() || part.checksum.is_none() || part.checksum == checksum)
        };
        parts.push(there.remove(&number).filter(same).ok_or(IndexError::BadPart)?);
    }
    let all_but_last = parts.split_last().map_or(&[][..], |(_, before)| before);
    if let Some(small) = all_but_last.iter().find(|part| part.piece.size < least) {
        let message = format!(
            "part {} has {} bytes; all but the last one have {least} or more",
            small.number, small.piece.size
        );
        return Err(Refusal::new(Class::Malformed, "entity_too_small", message));
    }
    Ok(parts)
}

fn check_number(number: u32) -> Result<(), Refusal> {
    if (1..=MOST_PARTS).contains(&number) {
        return Ok(());
    }
    let message = format!("parts have numbers from 1 to {MOST_PARTS}");
    Err(Refusal::new(Class::Malformed, "invalid_part_number", message))
}

/// A turn to append: two that begin at the same place would write over each other.
struct Turn<'a> {
    appending: &'a Mutex<HashSet<String>>,
    id: &'a str,
}

impl<'a> Turn<'a> {
    fn take(appending: &'a Mutex<HashSet<String>>, id: &'a str) -> Result<Self, Refusal> {
        if appending.lock().insert(id.to_owned()) {
            return Ok(Self { appending, id });
        }
        let message = "somebody else appends to this upload right now; ask for its offset and try again";
        Err(Refusal::new(Class::Conflict, "upload_busy", message))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.appending.lock().remove(self.id);
    }
}

/// How a body that is appended came to its end.
#[derive(Default)]
struct Came {
    whole: bool,
    over: AtomicBool,
    fault: Mutex<Option<BodyFault>>,
}

/// The same bytes, which end where they break off instead of failing, and never go beyond `most`.
fn lenient(bytes: BodyStream, most: u64, came: Arc<Came>) -> BodyStream {
    let state = Some((bytes, most, came));
    Box::pin(futures_util::stream::unfold(state, |state| async move {
        let (mut bytes, left, came) = state?;
        match bytes.next().await? {
            Ok(part) if part.len() as u64 > left => {
                came.over.store(true, Ordering::Release);
                None
            }
            Ok(part) => {
                let left = left - part.len() as u64;
                Some((Ok(part), Some((bytes, left, came))))
            }
            Err(fault) if came.whole => {
                *came.fault.lock() = Some(fault);
                None
            }
            Err(fault) => Some((Err(fault), None)),
        }
    }))
}

impl Upload {
    /// Whether parts are appended one after another.
    pub fn is_appended(&self) -> bool {
        self.form.length.is_some()
    }
}

impl Object {
    /// Whether it was written while no versions were kept.
    pub fn is_null_version(&self) -> bool {
        self.version == NULL_VERSION
    }
}
