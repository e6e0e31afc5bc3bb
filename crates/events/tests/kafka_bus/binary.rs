//! What a record looks like to whoever reads the topic.

use flagbase_testkit::{ExternalServer, bus::event};
use rskafka::client::partition::UnknownTopicHandling;

use crate::support::{PARTITIONS, bus, client, url};

#[tokio::test]
async fn a_record_is_a_cloud_event_in_binary_mode_under_its_environment_and_key() {
    let server = ExternalServer::tansu().await;
    let bus = bus(&url(server.port(), "flags", ""));
    bus.publish(&[event("dark-mode", 7)]).await.unwrap();
    let client = client(server.port()).await.unwrap();
    let mut found = Vec::new();
    for number in 0..PARTITIONS {
        let partition = client.partition_client("flags", number, UnknownTopicHandling::Error).await.unwrap();
        found.extend(partition.fetch_records(0, 1..1_000_000, 20).await.unwrap().0);
    }
    let [record] = found.as_slice() else { panic!("{found:?}") };
    let record = &record.record;
    assert_eq!(record.key.as_deref(), Some(&b"default/dark-mode"[..]));
    let header = |name: &str| String::from_utf8(record.headers[name].clone()).unwrap();
    assert_eq!(header("ce_type"), "flagbase.flag.disabled");
    assert_eq!(header("ce_id"), event("dark-mode", 7).id);
    assert_eq!(header("ce_flagbaseseq"), "7");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(record.timestamp.timestamp(), 1_767_225_600);
    let data: serde_json::Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
    assert_eq!(data, event("dark-mode", 7).data);
}

#[tokio::test]
async fn a_topic_that_others_manage_is_missed_and_never_made() {
    let server = ExternalServer::tansu().await;
    let bus = bus(&url(server.port(), "theirs", "&create=false"));
    let halted = bus.publish(&[event("k", 1)]).await.unwrap_err();
    let why = std::error::Error::source(&halted.error).unwrap().to_string();
    assert!(why.contains("no topic `theirs`"), "{why}");
    let client = client(server.port()).await.unwrap();
    assert!(client.list_topics().await.unwrap().is_empty());
    client.controller_client().unwrap().create_topic("theirs", PARTITIONS, 1, 1000).await.unwrap();
    bus.publish(&[event("k", 1)]).await.unwrap();
}

#[tokio::test]
async fn keys_are_spread_over_the_partitions_and_each_stays_in_one() {
    let server = ExternalServer::tansu().await;
    let bus = bus(&url(server.port(), "flags", ""));
    let batch: Vec<_> = (0..60).map(|sequence| event(&format!("flag-{}", sequence % 12), sequence)).collect();
    bus.publish(&batch).await.unwrap();
    let client = client(server.port()).await.unwrap();
    let mut keys = Vec::new();
    for number in 0..PARTITIONS {
        let partition = client.partition_client("flags", number, UnknownTopicHandling::Error).await.unwrap();
        let records = partition.fetch_records(0, 1..1_000_000, 20).await.unwrap().0;
        let mut here: Vec<_> = records.into_iter().map(|found| found.record.key.unwrap()).collect();
        here.sort();
        here.dedup();
        assert!(!here.is_empty(), "partition {number} has nothing");
        keys.extend(here);
    }
    assert_eq!(keys.len(), 12, "each key is in one partition: {keys:?}");
}
