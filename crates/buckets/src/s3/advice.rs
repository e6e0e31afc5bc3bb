//! What is said of errors that s3s tells by their code only: what to check, and what to do.

/// A sentence about an error that has none of its own.
pub(super) fn of(code: &str) -> &'static str {
    match code {
        "SignatureDoesNotMatch" => {
            "the signature is not what the secret of this access key makes of this request; check the secret access key and \
             the clock, and that nothing on the way changes the method, the path, the query or a signed header such as Host"
        }
        "InvalidURI" => "the path cannot be read; encode it as UTF-8 with % escapes",
        "InvalidBucketName" => {
            "this cannot be the name of a bucket; write 3 to 63 lower-case letters, digits, - and ."
        }
        "KeyTooLongError" => "a key has at most 1024 bytes; shorten it",
        "IncompleteBody" => "fewer bytes came than Content-Length says; send the request again",
        "MethodNotAllowed" => "this method cannot be used here; see which operations are offered",
        "NotImplemented" => "this operation is not offered here; see which ones are",
        "MissingRequestBodyError" => "this operation needs a body; send one",
        "MalformedXML" => "the body is not the XML that this operation takes; compare it with S3's schema",
        "InvalidArgument" | "InvalidRequest" => {
            "a parameter or header is not as S3 has it; check those of this operation"
        }
        "AccessDenied" => "this is not permitted; check the access key, and what it is for",
        "InternalError" => "something went wrong inside; see the server's log",
        _ => "the request cannot be answered; look this code up among S3's error codes",
    }
}

/// The text of an error, which says what to do in any case.
pub(super) fn with_message(text: &str) -> Option<String> {
    if !text.contains("<Error>") || text.contains("<Message>") {
        return None;
    }
    let (before, after) = text.split_once("</Code>")?;
    let code = before.rsplit("<Code>").next()?;
    Some(format!("{before}</Code><Message>{}</Message>{after}", of(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_message_gets_one_and_others_keep_theirs() {
        let bare = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code></Error>";
        let told = with_message(bare).unwrap();
        assert!(told.contains("</Code><Message>the signature is not"), "{told}");
        assert!(told.ends_with("Host</Message></Error>"), "{told}");
        let said = "<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>";
        assert_eq!(with_message(said), None);
        assert_eq!(with_message("<CompleteMultipartUploadResult/>"), None);
        let odd = with_message("<Error><Code>SomethingNew</Code></Error>").unwrap();
        assert!(odd.contains("look this code up"), "{odd}");
    }

    #[test]
    fn what_is_said_needs_no_escapes_in_xml() {
        for code in ["SignatureDoesNotMatch", "InvalidURI", "NotImplemented", "MalformedXML", "Whatever"] {
            assert!(!of(code).contains(['<', '>', '&']), "{code}");
        }
    }
}
