//! Rules of storage.

use std::net::SocketAddr;

use super::{Config, Wrong, bad};

/// Everything wrong with where objects are kept and served.
pub(super) fn check(config: &Config) -> Vec<Wrong> {
    let s3 = &config.storage.s3;
    let mut wrong = Vec::new();
    if s3.listen != "none" && s3.listen.parse::<SocketAddr>().is_err() {
        let help = "use an address and a port, such as `127.0.0.1:9000`, or `none`";
        wrong.push(bad("storage.s3.listen", &s3.listen, "is not an address with a port", help));
    }
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !s3.domain.is_empty() && !s3.domain.split('.').all(label) {
        let help = "use a name without port, such as `s3.example.com`, or leave it empty";
        wrong.push(bad("storage.s3.domain", &s3.domain, "is not a domain", help));
    }
    if !label(&s3.region) {
        wrong.push(bad("storage.s3.region", &s3.region, "is not the name of a region", "use `us-east-1`"));
    }
    wrong
}
