//! Points in time, as s3s has them.

use std::time::SystemTime;

use jiff::Timestamp;
use s3s::dto::{self, TimestampFormat};

/// A point in time for s3s.
pub(super) fn told(time: Timestamp) -> dto::Timestamp {
    dto::Timestamp::from(SystemTime::from(time))
}

/// The same without what is smaller than a second, as headers have it.
pub(super) fn seconds(time: Timestamp) -> dto::Timestamp {
    told(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// As headers write it.
pub(super) fn written(time: &dto::Timestamp) -> Option<String> {
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// As headers write it, read.
pub(super) fn read(text: &str) -> Option<dto::Timestamp> {
    dto::Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_way_through_a_header() {
        let time: Timestamp = "2026-11-22T21:15:04.75Z".parse().unwrap();
        let text = written(&told(time)).unwrap();
        assert_eq!(text, "Sun, 22 Nov 2026 21:15:04 GMT");
        assert_eq!(read(&text), Some(seconds(time)));
        assert_eq!(read("soon"), None);
    }
}
