use super::*;

fn nats(text: &str) -> NatsTarget {
    match Target::parse(text).unwrap() {
        Target::Nats(target) => *target,
        other => panic!("{other:?}"),
    }
}

fn kafka(text: &str) -> KafkaTarget {
    match Target::parse(text).unwrap() {
        Target::Kafka(target) => *target,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = Target::parse(text).unwrap_err().to_string();
    assert!(error.starts_with("`events.url` ") && error.contains(expected), "{text}: {error}");
}

#[test]
fn nothing_at_all_means_the_bus_in_this_process() {
    assert_eq!(Target::parse("").unwrap(), Target::Embedded);
    assert_eq!(Target::parse("  ").unwrap(), Target::Embedded);
}

#[test]
fn a_bare_nats_address_is_core_nats_without_a_login() {
    let target = nats("nats://one,two:5222");
    assert_eq!(target.hosts, ["one:4222", "two:5222"]);
    assert_eq!((target.login, target.tls, target.stream), (NatsLogin::None, None, None));
}

#[test]
fn a_stream_is_one_option_away() {
    let stream =
        nats("nats://one?jetstream=EVENTS&replicas=3&duplicates=1h&max_age=7d&manage=false").stream.unwrap();
    assert_eq!((stream.name.as_str(), stream.replicas, stream.manage), ("EVENTS", Some(3), false));
    assert_eq!(stream.duplicates, Some(Duration::from_hours(1)));
    assert_eq!(stream.max_age, Some(Duration::from_hours(168)));
    assert_eq!(nats("nats://one?jetstream").stream.unwrap().name, "FLAGBASE");
}

#[test]
fn nats_has_four_ways_to_log_in() {
    assert!(matches!(nats("nats://alice:x@one").login, NatsLogin::Password(user, _) if user == "alice"));
    assert!(matches!(nats("nats://t0ken@one").login, NatsLogin::Token(token) if token.reveal() == "t0ken"));
    assert!(
        matches!(nats("nats://one?credentials=a.creds").login, NatsLogin::Credentials(f) if f == "a.creds")
    );
    assert!(matches!(nats("nats://one?nkey=seed").login, NatsLogin::NKey(f) if f == "seed"));
}

#[test]
fn tls_is_meant_by_the_scheme_an_option_or_a_file() {
    for text in
        ["tls://one", "nats://one?tls", "nats://one?tls=true", "nats://one?ca=ca.pem", "nats://one?tls_first"]
    {
        assert!(nats(text).tls.is_some(), "{text}");
    }
    let tls = kafka("kafka://one/t?cert=c.pem&key=k.pem").tls.unwrap();
    assert_eq!(tls.identity, Some(("c.pem".to_owned(), "k.pem".to_owned())));
    assert!(nats("nats://one?tls_first").tls.unwrap().first);
}

#[test]
fn a_kafka_address_names_its_brokers_and_topic() {
    let target =
        kafka("kafka://one,two:9093/flags?partitions=6&replication=3&create=false&idempotent&timeout=3s");
    assert_eq!(target.hosts, ["one:9092", "two:9093"]);
    assert_eq!((target.topic.as_str(), target.partitions, target.replication), ("flags", Some(6), Some(3)));
    assert_eq!((target.create, target.idempotent, target.timeout), (false, true, Duration::from_secs(3)));
    assert_eq!(kafka("kafka://one").topic, "flagbase");
}

#[test]
fn kafka_takes_passwords_as_scram_unless_told_otherwise() {
    let mechanism = |text| kafka(text).sasl.map(|sasl| sasl.mechanism);
    assert_eq!(mechanism("kafka://one/t"), None);
    assert_eq!(mechanism("kafka://alice:x@one/t"), Some(Mechanism::Scram512));
    assert_eq!(mechanism("kafka://alice:x@one/t?sasl=scram-sha-256"), Some(Mechanism::Scram256));
    assert_eq!(mechanism("kafka://alice:x@one/t?sasl=plain"), Some(Mechanism::Plain));
}

#[test]
fn what_cannot_be_meant_is_refused_with_a_reason() {
    refused("amqp://one", "must be empty");
    refused("one:4222", "must be empty");
    refused("nats://one/path", "has a path");
    refused("nats://one?jetstream=", "name of a stream");
    refused("nats://one?jetstream=a.b", "name of a stream");
    refused("nats://alice:x@one?nkey=seed", "more than one login");
    refused("nats://one?credentials=a&nkey=b", "more than one login");
    refused("nats://one?replicas=3", "unknown option `replicas`");
    refused("nats://one?jetstream=S&replicas=-1", "`replicas=-1`");
    refused("nats://one?cert=c.pem", "both `cert` and `key`");
    refused("tls://one?tls=false", "asks for TLS, too");
    refused("kafka://one/a%20b", "names the topic `a b`");
    refused("kafka://one/t?sasl=plain", "needs a login");
    refused("kafka://alice@one/t", "needs a login");
    refused("kafka://alice:x@one/t?sasl=kerberos", "`sasl=kerberos`");
    refused("kafka://one/t?idempotent=perhaps", "`true` or `false`");
}
