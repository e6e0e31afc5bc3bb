//! What a server said, without what is different each time.

/// Frames as text: what INFO says is left out, and messages that go to several subscriptions are in one order.
pub(crate) fn normal(mut bytes: &[u8]) -> Vec<String> {
    let mut frames: Vec<(String, Option<(String, String)>)> = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n").map_or(bytes.len(), |at| at + 2);
        let (line, rest) = bytes.split_at(end);
        bytes = rest;
        let text = line.trim_ascii_end().escape_ascii().to_string();
        match length(line) {
            Some(length) if text.contains("MSG ") => {
                let (payload, rest) = bytes.split_at((length + 2).min(bytes.len()));
                bytes = rest;
                let payload = payload.trim_ascii_end().escape_ascii().to_string();
                let subject = text.split(' ').nth(1).unwrap_or_default().to_owned();
                frames.push((format!("{text} {payload}"), Some((subject, payload))));
            }
            _ if text.starts_with("INFO ") => frames.push(("INFO".to_owned(), None)),
            _ => frames.push((text, None)),
        }
    }
    once(&mut frames);
    let mut sorted = Vec::new();
    for run in frames.chunk_by(|one, next| one.1.is_some() && one.1 == next.1) {
        let mut run: Vec<String> = run.iter().map(|(text, _)| text.clone()).collect();
        run.sort();
        sorted.extend(run);
    }
    sorted
}

/// Whether a subject can be published to is looked at as soon as the line has come, and again when the message comes
/// later. Here it is looked at once, when all has come; so only that is compared.
fn once(frames: &mut Vec<(String, Option<(String, String)>)>) {
    let warning = |frame: &(String, Option<_>)| frame.0 == "-ERR \\'Invalid Publish Subject\\'";
    frames.dedup_by(|next, one| warning(next) && next == one);
    let fatal = frames.pop_if(|last| last.0 == "-ERR \\'Unknown Protocol Operation\\'");
    while frames.pop_if(|last| warning(last)).is_some() {}
    frames.extend(fatal);
}

/// The last number of a line.
fn length(line: &[u8]) -> Option<usize> {
    let last = line.trim_ascii_end().rsplit(|byte| *byte == b' ').next()?;
    std::str::from_utf8(last).ok()?.parse().ok()
}

#[test]
fn what_differs_each_time_is_left_out() {
    let said =
        b"INFO {\"port\":1}\r\nPONG\r\nMSG a 2 1\r\nx\r\nMSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\n-ERR 'e'\r\n";
    assert_eq!(normal(said), ["INFO", "PONG", "MSG a 1 1 x", "MSG a 2 1 x", "MSG a 1 1 y", "-ERR \\'e\\'"]);
}
