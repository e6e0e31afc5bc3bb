use serde_json::json;

use super::*;

#[test]
fn a_segment_is_read_and_written_as_the_same() {
    let body = json!({
        "key": "beta", "name": "Beta testers", "description": "",
        "conditions": [[{ "attribute": "role", "operator": "equals", "value": "qa" }]],
        "included": ["u1"], "excluded": ["u2"]
    });
    let segment = Segment::from_json(&body).unwrap();
    assert_eq!(segment.to_json(), body);
    assert_eq!(serde_json::from_value::<Segment>(body).unwrap(), segment);
}

#[test]
fn a_plain_list_of_conditions_is_one_group() {
    let condition = json!({ "attribute": "role", "operator": "exists" });
    let body = json!({ "key": "s", "conditions": [condition, condition] });
    let segment = Segment::from_json(&body).unwrap();
    assert_eq!(segment.conditions.len(), 1);
    assert_eq!(segment.conditions[0].len(), 2);
    assert_eq!(Segment::from_json(&segment.to_json()), Ok(segment));
}

#[test]
fn a_group_without_conditions_would_hold_everybody_and_is_refused() {
    let faults = Segment::from_json(&json!({ "key": "s", "conditions": [[]] })).unwrap_err();
    assert_eq!(faults[0].pointer, "/conditions/0");
    assert!(faults[0].message.contains("would hold everybody"));
}

#[test]
fn every_fault_of_a_segment_has_its_place() {
    let body = json!({
        "key": "s", "includes": [], "excluded": [7],
        "conditions": [[{ "attribute": "role", "operator": "gt", "value": "x" }], "y"]
    });
    let faults = Segment::from_json(&body).unwrap_err();
    let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(places, ["/includes", "/conditions/0/0/value", "/conditions/1", "/excluded/0"]);
    assert_eq!(faults[0].message, "unknown member `includes`; did you mean `included`?");
}

#[test]
fn limits_are_named() {
    let refused = |body: Value| Segment::from_json(&body).unwrap_err()[0].to_string();
    assert!(refused(json!({ "key": "" })).contains("a key is missing"));
    assert!(refused(json!({ "key": "s", "name": "n".repeat(201) })).contains("at most 200"));
    assert!(refused(json!({ "key": "s", "included": [""] })).contains("1 to 1000"));
    assert_eq!(refused(json!(7)), "a segment is a JSON object, not the number `7`");
}
