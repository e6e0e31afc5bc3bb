use super::*;
use crate::{
    caller::Caller,
    functions::{Deployed, Digest, Settings, Shape},
};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn logs() -> Logs {
    Logs::new(Arc::new(Noon))
}

fn visit(function: &str, version: u32, call: &str) -> Visit {
    let deployed = Deployed {
        environment: "default".into(),
        function: function.into(),
        version,
        digest: Digest::of(b""),
        shape: Shape::Command,
        settings: Arc::new(Settings::default()),
    };
    Visit {
        deployed: Arc::new(deployed),
        caller: Caller::nobody(),
        id: call.into(),
        trace: None,
        attributes: Arc::default(),
    }
}

const SAID: (Level, Stream) = (Level::Info, Stream::Stdout);

fn messages(lines: &[Arc<LogLine>]) -> Vec<&str> {
    lines.iter().map(|line| line.message.as_str()).collect()
}

#[test]
fn the_last_lines_of_a_function_are_read_by_version_and_by_call() {
    let logs = logs();
    for (function, version, call, message) in
        [("a", 1, "x", "one"), ("a", 2, "y", "two\n"), ("b", 1, "z", "other"), ("a", 2, "x", "three")]
    {
        logs.write(&visit(function, version, call), SAID, message, Vec::new());
    }
    let read = |asked, limit| logs.read("default", "a", asked, limit);
    let all = LogsAsked::default();
    assert_eq!(messages(&read(all, 9)), ["one", "two", "three"]);
    assert_eq!(messages(&read(all, 2)), ["two", "three"]);
    assert_eq!(messages(&read(LogsAsked { version: Some(2), ..all }, 9)), ["two", "three"]);
    assert_eq!(messages(&read(LogsAsked { call: Some("x"), ..all }, 9)), ["one", "three"]);
    let after = read(all, 9)[1].sequence;
    assert_eq!(messages(&read(LogsAsked { after: Some(after), ..all }, 9)), ["three"]);
    assert!(logs.read("production", "a", all, 9).is_empty());
}

#[test]
fn what_is_kept_has_a_bound_in_lines_and_in_bytes() {
    let logs = logs();
    for number in 0..3 * MOST_LINES {
        logs.write(&visit("many", 1, "x"), SAID, &number.to_string(), Vec::new());
        logs.write(&visit("long", 1, "x"), SAID, &"ä".repeat(LONGEST_LINE), Vec::new());
    }
    let many = logs.read("default", "many", LogsAsked::default(), usize::MAX);
    assert_eq!((many.len(), many[0].message.as_str()), (MOST_LINES, "2000"));
    let long = logs.read("default", "long", LogsAsked::default(), usize::MAX);
    assert!(long.iter().map(|line| line.message.len()).sum::<usize>() <= MOST_BYTES);
    assert!(long[0].message.ends_with('…') && long[0].message.len() <= LONGEST_LINE + 3);
}

#[tokio::test]
async fn whoever_follows_hears_every_line_from_then_on_and_what_it_missed() {
    let logs = logs();
    logs.write(&visit("a", 1, "x"), SAID, "before", Vec::new());
    let mut follower = logs.follow("default", "a");
    let fields = vec![("order".to_owned(), "7".to_owned())];
    logs.write(&visit("a", 1, "x"), (Level::Error, Stream::Host), "after", fields);
    let line = follower.recv().await.unwrap();
    assert_eq!((line.message.as_str(), line.level, line.stream), ("after", Level::Error, Stream::Host));
    let json = serde_json::to_value(&*line).unwrap();
    assert_eq!((&json["level"], &json["stream"]), (&"error".into(), &"host".into()));
    for number in 0..2 * LAG {
        logs.write(&visit("a", 1, "x"), SAID, &number.to_string(), Vec::new());
    }
    assert!(matches!(follower.recv().await, Err(broadcast::error::RecvError::Lagged(lost)) if lost >= 1));
}

#[test]
fn functions_that_are_gone_are_forgotten_unless_somebody_follows() {
    let logs = logs();
    for function in ["gone", "stays", "followed"] {
        logs.write(&visit(function, 1, "x"), SAID, "hello", Vec::new());
    }
    let _follower = logs.follow("default", "followed");
    logs.retain(|_, function| function == "stays");
    let left = |function| logs.read("default", function, LogsAsked::default(), 9).len();
    assert_eq!([left("gone"), left("stays"), left("followed")], [0, 1, 1]);
}

#[test]
fn what_a_call_said_as_an_error_is_found_again_for_that_call_alone() {
    let logs = logs();
    let (mine, other) = (visit("a", 1, "x"), visit("a", 1, "y"));
    logs.write(&mine, (Level::Error, Stream::Log), "uncaught Error: broken\n    at a.js:1:2", Vec::new());
    logs.write(&mine, SAID, "not so bad", Vec::new());
    assert!(logs.told(&mine, "Error: broken"));
    assert!(!logs.told(&mine, "not so bad"), "no error");
    assert!(!logs.told(&mine, "out of memory") && !logs.told(&other, "Error: broken"));
}
