//! Objects on a disk that forgets: written, overwritten, copied, put together and deleted, several at once.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::collections::BTreeMap;

use flagbase_testkit::{SeededRandom, server::free_port};
use futures_util::future::join_all;
use reqwest::Method;

use super::*;

const ROUNDS: u32 = 6;
/// Power cuts within each round, and one at its end.
const CUTS: u64 = 2;
/// Bodies are larger than what is written in one step.
const SIZE: usize = 300_000;

/// Objects by bucket and key; what is not there was deleted.
type Objects = BTreeMap<String, String>;

struct Place {
    server: TestServer,
    token: String,
    s3: String,
}

#[derive(Debug, Clone)]
enum Act {
    Put(&'static str, String),
    Copy(&'static str, &'static str),
    Together(&'static str, String),
    Delete(&'static str),
}

/// What is done at once in a round; no two of them touch the same key.
fn acts(round: u32) -> Vec<Act> {
    let text = |what: &str| format!("{what} of round {round} ").repeat(SIZE / 20);
    let mut acts = vec![
        Act::Put("plain/over", text("over")),
        Act::Put("kept/over", text("kept")),
        Act::Put(["plain/a", "plain/b"][(round % 2) as usize], text("turn")),
        Act::Delete(["plain/b", "plain/a"][(round % 2) as usize]),
        Act::Together("plain/parts", text("parts")),
        Act::Copy("plain/first", "kept/copy"),
        Act::Copy("plain/first", "plain/copy"),
    ];
    if round % 2 == 1 {
        acts.push(Act::Delete("kept/turn"));
    } else {
        acts.push(Act::Put("kept/turn", text("turn")));
    }
    acts
}

impl Act {
    fn applied(&self, objects: &mut Objects) {
        match self {
            Self::Put(to, text) | Self::Together(to, text) => {
                drop(objects.insert((*to).into(), text.clone()));
            }
            Self::Copy(from, to) => {
                let text = objects[*from].clone();
                objects.insert((*to).into(), text);
            }
            Self::Delete(key) => drop(objects.remove(*key)),
        }
    }
}

impl Place {
    fn object(path: &str) -> String {
        let (bucket, key) = path.split_once('/').unwrap();
        format!("/api/v1/buckets/{bucket}/objects/{key}")
    }

    async fn send(&self, method: Method, url: String, body: String) -> flagbase_testkit::server::Reply {
        let request = self.server.client().request(method, url).bearer_auth(&self.token);
        self.server.reply(request.body(body)).await
    }

    async fn act(&self, act: Act) {
        match act {
            Act::Put(to, text) => {
                let url = self.server.url(&Self::object(to));
                self.send(Method::PUT, url, text).await.expect_status(200);
            }
            Act::Copy(from, to) => {
                let url = self.server.url(&format!("{}?copy={from}", Self::object(to)));
                self.send(Method::PUT, url, String::new()).await.expect_status(200);
            }
            Act::Together(to, text) => self.put_together(to, text).await,
            Act::Delete(key) => {
                let reply =
                    self.send(Method::DELETE, self.server.url(&Self::object(key)), String::new()).await;
                assert!([200, 204, 404].contains(&reply.status), "{}", reply.text);
            }
        }
    }

    /// As S3's clients upload: a part, and then the whole of it.
    async fn put_together(&self, to: &str, text: String) {
        let client = self.server.client();
        let url = format!("{}/{to}", self.s3);
        let begun = self.server.reply(client.post(format!("{url}?uploads"))).await.expect_status(200).text;
        let id = begun.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
        let part = client.put(format!("{url}?partNumber=1&uploadId={id}")).body(text);
        let part = self.server.reply(part).await.expect_status(200);
        let etag = part.header("etag").unwrap();
        let list = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        );
        let whole = client.post(format!("{url}?uploadId={id}")).body(list);
        self.server.reply(whole).await.expect_status(200);
    }

    /// Every object is as it was before the round or as it was after it.
    async fn assert_whole(&self, before: &Objects, after: &Objects, when: &str) {
        for key in before.keys().chain(after.keys()) {
            let reply = self.server.get(&Self::object(key), &self.token).await;
            let found = (reply.status == 200).then_some(&reply.text);
            let whole = found == before.get(key) || found == after.get(key);
            assert!(whole, "{when}: `{key}`: {} with {} bytes", reply.status, reply.text.len());
        }
    }
}

#[tokio::test]
async fn objects_that_were_acknowledged_are_there_after_a_power_cut_and_none_is_a_mixture() {
    let disk = Disk::new();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut environment: Vec<(&str, &str)> = vec![("FLAGBASE_STORAGE__S3__LISTEN", &listen)];
    let watched = disk.environment();
    environment.extend(watched.iter().map(|(name, value)| (*name, value.as_str())));
    let server = TestServer::start_with(PROGRAM, &environment).await;
    let token = server.join("dev@example.com", "developer").await;
    let statement =
        json!({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::plain/*"});
    let policy = json!({"policy": {"Version": "2012-10-17", "Statement": [statement]}});
    server.put("/api/v1/buckets/plain", &token, &policy).await.expect_status(201);
    let versioned = json!({"versioning": "enabled"});
    server.put("/api/v1/buckets/kept", &token, &versioned).await.expect_status(201);
    let mut place = Place { server, token, s3: format!("http://{listen}") };

    let first = Act::Put("plain/first", "the first ".repeat(SIZE / 10));
    let mut states = vec![Objects::new()];
    first.applied(&mut states[0]);
    place.act(first).await;
    let mut ends = vec![disk.operations().len()];
    for round in 1..=ROUNDS {
        join_all(acts(round).into_iter().map(|act| place.act(act))).await;
        ends.push(disk.operations().len());
        let mut after = states.last().unwrap().clone();
        for act in acts(round) {
            act.applied(&mut after);
        }
        states.push(after);
    }
    place.server.kill();

    let operations = disk.operations();
    let random = SeededRandom::new(11);
    let mut platter = Platter::default();
    let mut at = 0;
    for round in 1..ends.len() {
        let (begin, end) = (ends[round - 1], ends[round]);
        let within = |_| begin + usize::try_from(random.below((end - begin) as u64)).unwrap();
        let mut cuts: Vec<_> = (0..CUTS).map(within).chain([end]).collect();
        cuts.sort_unstable();
        for cut in cuts {
            for operation in &operations[at..cut] {
                platter.apply(operation);
            }
            at = cut;
            // Of what is under way nothing gets there, half of it, or nearly all.
            let odds = [0, 5, 9][usize::try_from(random.below(3)).unwrap()];
            platter.cut(&mut || random.below(10) < odds, place.server.directory());
            place.server.restart().await;
            place.token = place.server.login("dev@example.com").await;
            // What the round's last answer said is there is there.
            let before = if cut == end { &states[round] } else { &states[round - 1] };
            let when = format!("round {round}, {cut} of {begin} to {end}, odds {odds}");
            place.assert_whole(before, &states[round], &when).await;
            place.server.kill();
        }
    }
}
