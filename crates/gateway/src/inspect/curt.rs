//! What hyper answers by itself to a head it cannot read: a status and nothing else. Clients are told more.

use http::StatusCode;

use crate::problem::Problem;

/// The answer to send instead of `bytes`, when these are such an answer.
pub(super) fn told(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes.strip_prefix(b"HTTP/1.1 4")?).ok()?;
    let (status, headers) = text.strip_suffix("\r\n\r\n")?.split_once("\r\n")?;
    let status = status.get(..2)?.parse::<u16>().ok()?;
    // Answers from behind this connection have headers of their own.
    let curt = headers
        .split("\r\n")
        .all(|line| line == "connection: close" || line == "content-length: 0" || line.starts_with("date: "));
    curt.then(|| StatusCode::from_u16(400 + status).ok())
        .flatten()
        .map(|status| Problem::unreadable(status).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_without_anything_to_say_are_replaced() {
        let curt = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let told = String::from_utf8(told(curt).unwrap()).unwrap();
        assert!(told.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{told}");
        assert!(told.contains("application/problem+json") && told.contains("connection: close"), "{told}");
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{told}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["status"], &body["code"]), (&431.into(), &"head_too_large".into()));
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 404 Not Found\r\nx-request-id: 1\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno",
            b"HTTP/1.1 4",
            b"",
        ] {
            assert_eq!(super::told(other), None, "{}", other.escape_ascii());
        }
    }
}
