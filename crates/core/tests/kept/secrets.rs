//! Secrets: sealed, named, opened for their function alone.

use flagbase_core::{
    catalog::{Expect, Write},
    functions::{
        Definition, GuestSecrets as _, HostError,
        vault::{MOST_SECRET, MOST_SECRETS, Sealed, Vault as _},
    },
    refusal::Class,
};

use super::*;

impl Product {
    async fn set(&self, function: &str, name: &str, value: &str) {
        self.secrets.set(asked(&person("admin")), function, (name, value)).await.unwrap();
    }

    async fn names(&self) -> Vec<String> {
        let all = self.secrets.list(&person("admin"), "default", "hello").await.unwrap();
        all.into_iter().map(|secret| secret.name).collect()
    }

    async fn open(&self, of: &str, name: &str) -> Result<Option<String>, HostError> {
        self.secrets.open(&function(of), name).await
    }
}

#[tokio::test]
async fn a_secret_is_named_and_opened_and_its_value_is_nowhere_else() {
    let product = product().await;
    product.set("hello", "TOKEN", "s3cret-value").await;
    assert_eq!(product.names().await, ["TOKEN"]);
    assert_eq!(product.open("hello", "TOKEN").await.unwrap().as_deref(), Some("s3cret-value"));
    assert_eq!(product.open("hello", "OTHER").await.unwrap(), None);
    assert_eq!(product.open("other", "TOKEN").await.unwrap(), None);

    let stored = product.memory.sealed(&function("hello")).await.unwrap();
    assert!(!stored[0].bytes.windows(6).any(|part| part == b"s3cret"));
    let changes = product.changes(&function("hello")).await;
    let change = changes.last().unwrap();
    assert_eq!((change.verb.as_str(), &change.detail["name"]), ("secret_set", &"TOKEN".into()));
    assert_eq!((&*change.actor.name, change.reason.as_str()), ("alice@example.com", "because"));
    assert!(!format!("{changes:?}").contains("s3cret"), "not even in the log");
}

#[tokio::test]
async fn what_is_set_or_removed_is_seen_by_the_next_call() {
    let product = product().await;
    product.set("hello", "A", "one").await;
    assert_eq!(product.open("hello", "A").await.unwrap().as_deref(), Some("one"));
    product.set("hello", "A", "two").await;
    assert_eq!(product.open("hello", "A").await.unwrap().as_deref(), Some("two"));
    let all = product.secrets.all(&function("hello")).await.unwrap();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [("A".to_owned(), "two".to_owned())]);
    product.secrets.delete(asked(&person("admin")), "hello", "A").await.unwrap();
    assert_eq!(product.open("hello", "A").await.unwrap(), None);
    let again = product.secrets.delete(asked(&person("admin")), "hello", "A").await.unwrap_err();
    assert_eq!(again.code, "secret_not_found");
    let snapshot = product.feed.snapshots().get();
    let environment = snapshot.require_environment("default").unwrap();
    assert!(environment.functions.contains_key("hello"), "a notice leaves the function as it is");
}

#[tokio::test]
async fn another_writer_is_noticed_when_the_log_is_read() {
    let product = product().await;
    product.set("hello", "A", "one").await;
    assert_eq!(product.open("hello", "A").await.unwrap().as_deref(), Some("one"));
    let elsewhere = secrets_with(&product.memory, &product.feed, KEY);
    elsewhere.set(asked(&person("admin")), "hello", ("A", "two")).await.unwrap();
    assert_eq!(product.open("hello", "A").await.unwrap().as_deref(), Some("two"));
}

#[tokio::test]
async fn rows_of_two_functions_cannot_be_exchanged() {
    let product = product().await;
    product.set("hello", "TOKEN", "of hello").await;
    product.set("other", "TOKEN", "of other").await;
    let [hello, other] = [function("hello"), function("other")];
    let stolen: Sealed = product.memory.sealed(&hello).await.unwrap().remove(0);
    let commit = product.feed.draft(Actor::system(), "", Vec::new());
    product.memory.put(&other, stolen, commit).await.unwrap();
    let fresh = secrets_with(&product.memory, &product.feed, KEY);
    let refused = fresh.open(&other, "TOKEN").await.unwrap_err();
    assert!(matches!(&refused, HostError::Failed(why) if why.contains("altered or moved")), "{refused}");
    assert_eq!(fresh.open(&hello, "TOKEN").await.unwrap().as_deref(), Some("of hello"));
}

#[tokio::test]
async fn another_key_opens_nothing_and_says_so_and_a_former_one_still_opens() {
    let product = product().await;
    product.set("hello", "TOKEN", "value").await;
    let other = "another key of thirty-two bytes or more";
    let wrong = secrets_with(&product.memory, &product.feed, other);
    let refused = wrong.open(&function("hello"), "TOKEN").await.unwrap_err();
    assert!(
        matches!(&refused, HostError::Failed(why) if why.contains("`functions.secrets_key`")),
        "{refused}"
    );
    let rotated = secrets_with(&product.memory, &product.feed, &format!("{other}\n{KEY}"));
    assert_eq!(rotated.open(&function("hello"), "TOKEN").await.unwrap().as_deref(), Some("value"));
}

#[tokio::test]
async fn a_function_that_is_made_again_has_none_of_the_secrets_before() {
    let product = product().await;
    product.set("hello", "TOKEN", "value").await;
    let hello = function("hello");
    product.write(&hello, Expect::Any, Write::Delete).await;
    let gone = product.secrets.list(&person("admin"), "default", "hello").await.unwrap_err();
    assert_eq!(gone.code, "function_not_found");
    product.write(&hello, Expect::Absent, Write::Put(Definition::named("hello").to_json())).await;
    assert!(product.names().await.is_empty());
    assert_eq!(product.open("hello", "TOKEN").await.unwrap(), None);
}

#[tokio::test]
async fn names_and_values_make_sense_or_are_refused_with_their_place() {
    let product = product().await;
    let admin = person("admin");
    for name in ["", "1st", "a b", "ä", &"a".repeat(129)] {
        let refused = product.secrets.set(asked(&admin), "hello", (name, "v")).await.unwrap_err();
        assert_eq!(refused.faults[0].pointer, "/name", "{name}");
    }
    for value in ["", &"v".repeat(MOST_SECRET + 1)] {
        let refused = product.secrets.set(asked(&admin), "hello", ("A", value)).await.unwrap_err();
        assert_eq!(refused.faults[0].pointer, "/value");
    }
    product.set("hello", "_a.B-9", &"v".repeat(MOST_SECRET)).await;
    let missing = product.secrets.set(asked(&admin), "nobody", ("A", "v")).await.unwrap_err();
    assert_eq!((missing.class, missing.code), (Class::NotFound, "function_not_found"));
}

#[tokio::test]
async fn there_are_only_so_many_and_each_can_be_set_again() {
    let product = product().await;
    for number in 0..MOST_SECRETS {
        product.set("hello", &format!("S{number}"), "v").await;
    }
    let refused = product.secrets.set(asked(&person("admin")), "hello", ("ONE_MORE", "v")).await.unwrap_err();
    assert_eq!(refused.code, "too_many_secrets");
    product.set("hello", "S7", "again").await;
}

#[tokio::test]
async fn who_may_not_is_refused() {
    let product = product().await;
    product.set("hello", "TOKEN", "value").await;
    for role in ["guest", "user"] {
        let caller = person(role);
        assert!(product.secrets.set(asked(&caller), "hello", ("A", "v")).await.is_err(), "{role}");
        assert!(product.secrets.delete(asked(&caller), "hello", "TOKEN").await.is_err(), "{role}");
        assert!(product.secrets.list(&caller, "default", "hello").await.is_err(), "{role}");
    }
    let developer = person("developer");
    product.secrets.set(asked(&developer), "hello", ("A", "v")).await.unwrap();
    assert_eq!(product.names().await, ["A", "TOKEN"]);
}
