//! Deleting objects.

use flagbase_core::buckets::{Act, Action, Object};
use s3s::{
    S3Error, S3Request, S3Response, S3Result,
    dto::{
        DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error,
        ObjectIdentifier,
    },
    s3_error,
};

use super::{Facade, conditions, guest::Guest, reading::version_told, refusals::refused};

/// Objects that one request may delete.
const MOST: usize = 1000;

impl Facade {
    pub(super) async fn remove(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let guest = Guest::of(&request)?;
        let DeleteObjectInput { bucket, key, version_id, if_match, .. } = request.input;
        let named = if_match.is_some();
        let condition = conditions::of_write(if_match, None)?;
        let bucket = self.admit(&guest, &bucket, Act::new(action(version_id.as_ref()), &key))?;
        let which = (key.as_str(), version_id.as_deref());
        let removed = match self.buckets.objects().delete(guest.actor(), &bucket, which, condition).await {
            Ok(removed) => removed,
            Err(refusal) if named => return Err(self.stale(&bucket, &key, refusal).await),
            Err(refusal) => return Err(refused(refusal)),
        };
        let marker = removed.as_ref().is_some_and(|removed| removed.marker);
        let version = removed.as_ref().and_then(|removed| version_told(&bucket, removed));
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker: marker.then_some(true),
            version_id: version
                .or(version_id)
                .filter(|_| bucket.settings.versioning != flagbase_core::buckets::Versioning::Off),
            ..DeleteObjectOutput::default()
        }))
    }

    pub(super) async fn remove_many(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let guest = Guest::of(&request)?;
        let DeleteObjectsInput { bucket: name, delete, .. } = request.input;
        if delete.objects.is_empty() || delete.objects.len() > MOST {
            return Err(s3_error!(MalformedXML, "name 1 to {MOST} objects"));
        }
        let (mut errors, mut wanted) = (Vec::new(), Vec::new());
        // The bucket is the same for all, and so is why it is not there.
        let mut found = None;
        for ObjectIdentifier { key, version_id, .. } in delete.objects {
            match self.admit(&guest, &name, Act::new(action(version_id.as_ref()), &key)) {
                Ok(bucket) => {
                    found = Some(bucket);
                    wanted.push((key, version_id));
                }
                Err(error) if error.code() == &s3s::S3ErrorCode::NoSuchBucket => return Err(error),
                Err(error) => errors.push(failed(&error, (key, version_id))),
            }
        }
        let mut deleted = Vec::new();
        if let Some(bucket) = found {
            let answers = self.buckets.objects().delete_many(&guest.actor(), &bucket, &wanted).await;
            for (which, answer) in wanted.into_iter().zip(answers) {
                match answer {
                    Ok(removed) => deleted.push(told(which, removed.as_ref())),
                    Err(refusal) => errors.push(failed(&refused(refusal), which)),
                }
            }
        }
        let quiet = delete.quiet.unwrap_or_default();
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        }))
    }
}

fn action(version: Option<&String>) -> Action {
    if version.is_some() { Action::DeleteVersion } else { Action::DeleteObject }
}

/// What became of a key.
fn told((key, version_id): (String, Option<String>), removed: Option<&Object>) -> DeletedObject {
    let marker = removed.filter(|removed| removed.marker);
    DeletedObject {
        delete_marker: marker.map(|_| true),
        delete_marker_version_id: marker.map(|marker| marker.version.clone()),
        key: Some(key),
        version_id,
    }
}

fn failed(error: &S3Error, (key, version_id): (String, Option<String>)) -> Error {
    Error {
        code: Some(error.code().as_str().to_owned()),
        key: Some(key),
        message: error.message().map(str::to_owned),
        version_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_told_as_what_hides_the_object() {
        let marker = Object { marker: true, version: "01".into(), ..Object::default() };
        let hidden = told(("k".into(), None), Some(&marker));
        assert_eq!(
            (hidden.delete_marker, hidden.delete_marker_version_id.as_deref()),
            (Some(true), Some("01"))
        );
        let gone = told(("k".into(), Some("null".into())), Some(&Object::default()));
        assert_eq!((gone.delete_marker, gone.version_id.as_deref()), (None, Some("null")));
        let never = told(("k".into(), None), None);
        assert_eq!((never.delete_marker, never.key.as_deref()), (None, Some("k")));
    }
}
