//! What people read at a terminal about functions that run: their lines, their figures, and what they did not take.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::commands::Person;
use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const WRITES: &str = r"
export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  console.info('asked for', pathname);
  if (pathname === '/broken') throw new Error('it broke');
  return new Response('fine');
} };
";

const NEVER: &str = "export const event = (event) => { throw new Error(`cannot take ${event.subject}`); };";

const TAKES: &str = r"
import { kv } from 'flagbase';
export const event = async (event) => kv.set('taken', `${event.subject}: ${event.json().id}`);
export default { fetch: async () => new Response((await kv.get('taken')) ?? 'nothing') };
";

/// `fn logs -f`, ended when it is dropped.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Following {
    fn start(person: &Person, line: &str) -> Self {
        let mut child = person
            .command(line)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        let read = move || output.lines().map_while(Result::ok).try_for_each(|line| to.send(line));
        drop(std::thread::Builder::new().name("lines".to_owned()).spawn(read).unwrap());
        Self { child, lines }
    }

    /// The next line that contains `words`.
    fn until(&self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_mins(1)).unwrap();
            if line.contains(words) {
                return line;
            }
        }
    }
}

async fn asked(person: &Person, path: &str) -> Reply {
    let request = person.server.client().get(person.server.url(&format!("/functions/writes{path}")));
    person.server.reply(request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_shown_and_followed_as_they_come() {
    let person = Person::new().await;
    person.write("writes.js", WRITES.as_bytes());
    person.ok("fn deploy writes.js");
    asked(&person, "/before").await.expect_status(200);
    until("the line is kept", async || person.ok("fn logs writes").contains("/before").then_some(())).await;
    let following = Following::start(&person, "fn logs -f writes");
    let shown = following.until("/before");
    assert!(shown.contains("  v1  info   asked for /before"), "{shown}");
    asked(&person, "/after").await.expect_status(200);
    following.until("  v1  info   asked for /after");
    asked(&person, "/broken").await.expect_status(502);
    let broke = following.until("it broke");
    assert!(broke.contains("  v1  error"), "{broke}");
    // The next version is followed as well, and can be asked for alone.
    person.ok("fn deploy writes.js");
    asked(&person, "/newer").await.expect_status(200);
    following.until("  v2  info   asked for /newer");
    let second = person.ok("fn logs writes --version 2");
    assert!(second.contains("/newer") && !second.contains("/after"), "{second}");
    let one = person.ok("fn logs writes --limit 1");
    assert_eq!((one.lines().count(), one.contains("/newer")), (1, true), "the newest: {one}");
    // For programs a line is one document, with the trace of its request.
    for line in person.ok("fn logs writes -o json").lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["traceparent"].as_str().unwrap().contains(TRACE), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_each_version_are_shown_in_a_row() {
    let person = Person::new().await;
    person.write("writes.js", WRITES.as_bytes());
    person.ok("fn deploy writes.js");
    for path in ["/one", "/two", "/broken"] {
        asked(&person, path).await;
    }
    person.ok("fn deploy writes.js");
    asked(&person, "/three").await.expect_status(200);
    let table = person.ok("fn metrics writes");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |version: &str| rows.iter().find(|row| row[0] == version).unwrap();
    assert_eq!(
        (rows[0][..3].join(" ").to_lowercase(), &row("1")[1..3]),
        ("version calls failed".to_owned(), &["3", "1"][..]),
        "{table}"
    );
    assert_eq!(row("2")[1..3], ["1", "0"], "{table}");
    let figures: Value = serde_json::from_str(&person.ok("fn metrics writes -o json")).unwrap();
    let first = figures["versions"].as_array().unwrap().iter().find(|it| it["version"] == 1).unwrap();
    assert!(first["latency_ms"]["p99"].as_f64().unwrap() > 0.0, "{first}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_read_offered_again_and_given_up() {
    let person = Person::new().await;
    person.write("orders.js", NEVER.as_bytes());
    person.ok("fn deploy orders.js");
    let triggers = json!({"triggers": [{"name": "orders", "subject": "orders.>", "attempts": 1}]});
    person.write("settings.json", triggers.to_string().as_bytes());
    person.ok("fn set orders --file settings.json");
    let listed =
        || -> Vec<Value> { serde_json::from_str(&person.ok("fn dead-letters list orders -o json")).unwrap() };
    until("two are dead", async || {
        person.ok(r#"events pub orders.created {"id":7}"#);
        (listed().len() >= 2).then_some(())
    })
    .await;
    let table = person.ok("fn dead-letters list orders");
    for words in ["ID", "TRIGGER", "WHAT", "TRIES", "FAULT", "orders.created", "cannot take orders.created"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[1..4], ["orders", "orders.created", "1"], "{table}");
    assert!(
        table.lines().nth(2).unwrap().split_whitespace().next().unwrap() < row[0],
        "newest first: {table}"
    );

    // A better version takes what is offered again.
    person.write("orders.js", TAKES.as_bytes());
    person.ok("fn deploy orders.js");
    let said = person.ok(&format!("fn dead-letters replay orders {}", row[0]));
    assert!(said.contains(&format!("dead letter {} to function `orders` again", row[0])), "{said}");
    let taken = until("it is taken", async || {
        Some(call(&person.server, "orders").await.text).filter(|text| text != "nothing")
    });
    assert_eq!(taken.await, "orders.created: 7");
    let id = json!(row[0].parse::<u64>().unwrap());
    let gone = || listed().iter().all(|letter| letter["id"] != id);
    until("it is dead no more", async || gone().then_some(())).await;

    let oldest = listed().last().unwrap()["id"].to_string();
    person.ok(&format!("fn dead-letters delete orders {oldest}"));
    person.refused(&format!("fn dead-letters delete orders {oldest}"), 3);
    person.refused("fn dead-letters replay orders", 2);
    person.ok("fn dead-letters delete orders --all --yes");
    assert!(listed().is_empty());
}
