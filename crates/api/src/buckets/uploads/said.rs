//! What the beginning of an upload says of the object that it becomes.

use axum::http::HeaderMap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flagbase_core::{
    buckets::ObjectHead,
    refusal::{Class, Refusal},
};

use crate::buckets::heads;

/// A key, and what is sent along with the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) key: String,
    pub(super) head: ObjectHead,
}

impl Said {
    /// What `Upload-Metadata` and the headers of an object say.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut head = heads::head(headers)?;
        // That of the request, not of the object.
        head.content_type.clear();
        let (mut key, mut filename) = (None, None);
        let text = headers.get("upload-metadata").and_then(|value| value.to_str().ok()).unwrap_or_default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once(' ').unwrap_or((pair, ""));
            let value = STANDARD.decode(value.trim()).ok().and_then(|raw| String::from_utf8(raw).ok());
            let value = value.ok_or_else(|| {
                malformed(
                    "`Upload-Metadata` is not as tus has it: names, and values in base64, with `,` between",
                )
            })?;
            match name {
                "key" => key = Some(value),
                "filename" => filename = Some(value),
                "content_type" | "filetype" => head.content_type = value,
                other => drop(head.metadata.insert(other.to_ascii_lowercase(), value)),
            }
        }
        let key = match (key, filename) {
            (Some(key), filename) => {
                head.metadata.extend(filename.map(|name| ("filename".to_owned(), name)));
                key
            }
            (None, Some(filename)) => filename,
            (None, None) => {
                return Err(malformed("say which object it becomes: `Upload-Metadata: key <base64>`"));
            }
        };
        Ok(Self { key, head })
    }
}

/// A number in a header that has to be there.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Result<u64, Refusal> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    value.ok_or_else(|| malformed(&format!("send `{name}` with a number of bytes")))
}

fn malformed(message: &str) -> Refusal {
    Refusal::new(Class::Malformed, "bad_upload", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(metadata: &str) -> Result<Said, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert("upload-metadata", metadata.parse().unwrap());
        headers.insert("content-type", "application/offset+octet-stream".parse().unwrap());
        Said::of(&headers).map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_key_the_type_and_metadata_are_told_in_base64() {
        // a/ü, text/plain, blue, x.txt
        let said = of("key YS/DvA==, filetype dGV4dC9wbGFpbg==,Colour Ymx1ZQ==,filename eC50eHQ=").unwrap();
        assert_eq!((said.key.as_str(), said.head.content_type.as_str()), ("a/ü", "text/plain"));
        assert_eq!(said.head.metadata["colour"], "blue");
        assert_eq!(said.head.metadata["filename"], "x.txt");
        let plain = of("filename eC50eHQ=,empty").unwrap();
        assert_eq!((plain.key.as_str(), plain.head.content_type.as_str()), ("x.txt", ""));
        assert_eq!(plain.head.metadata["empty"], "");
    }

    #[test]
    fn an_upload_that_says_no_key_or_nonsense_is_refused() {
        for wrong in ["", "colour Ymx1ZQ==", "key %%%", "key /w=="] {
            assert_eq!(of(wrong), Err("bad_upload"), "{wrong}");
        }
    }
}
