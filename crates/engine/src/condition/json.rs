//! Conditions from and to JSON.

use serde_json::{Map, Value};

use super::MOST_VALUES;
use crate::fault::{At, Faults, hint, quote};
use crate::matcher::{Interner, Matcher, Scope};
use crate::read::{Object, kind_of};
use crate::{Condition, Operator, Scalar, Values};

/// Reads the members `attribute`, `operator` and `value` of an object that may have others besides.
pub(crate) fn parse(object: Object<'_>, faults: &mut Faults) -> Option<Condition> {
    let operator = operator(object, faults);
    let attribute = object.text("attribute", faults);
    let values = values(object, faults);
    let (operator, values) = (operator?, values?);
    let attribute = match attribute {
        Some(name) if operator.is_segment() && !name.is_empty() => {
            let message = format!("`{}` compares no attribute; leave it out", operator.as_str());
            faults.add(&object.at.member("attribute"), message);
            return None;
        }
        Some(name) if name.is_empty() && !operator.is_segment() => None,
        Some(name) => Some(name),
        None if operator.is_segment() => Some(String::new()),
        None => None,
    };
    let Some(attribute) = attribute else {
        let missing = !object.has("attribute") || object.get("attribute").is_some_and(is_empty_text);
        if missing {
            let message = "an attribute is missing; name what to compare, such as `role`";
            faults.add(&object.at.member("attribute"), message);
        }
        return None;
    };
    let condition = Condition { attribute, operator, values };
    // Compiled only to find the faults here, where the place in the body is still known.
    let mut scope = Scope { texts: &mut Interner::default(), segments: None };
    Matcher::new(&condition, object.at, &mut scope, faults)?;
    Some(condition)
}

fn is_empty_text(value: &Value) -> bool {
    value.as_str() == Some("")
}

fn operator(object: Object<'_>, faults: &mut Faults) -> Option<Operator> {
    let at = object.at.member("operator");
    if !object.has("operator") {
        let names = crate::fault::listing(Operator::ALL.iter().map(|(_, name)| *name));
        faults.add(&at, format!("an operator is missing; choose one of {names}"));
        return None;
    }
    let name = object.text("operator", faults)?;
    let operator = Operator::from_name(&name);
    if operator.is_none() {
        let hint = hint(&name, Operator::ALL.iter().map(|(_, name)| *name));
        faults.add(&at, format!("unknown operator {}{hint}", quote(&name)));
    }
    operator
}

fn values(object: Object<'_>, faults: &mut Faults) -> Option<Values> {
    let at = object.at.member("value");
    let Some(value) = object.get("value") else {
        return Some(Values::Absent);
    };
    let Value::Array(_) = value else {
        return scalar(value, &at, faults).map(Values::One);
    };
    let items = object.items("value", MOST_VALUES, faults)?;
    let before = faults.len();
    let scalars =
        items.iter().enumerate().filter_map(|(index, item)| scalar(item, &at.item(index), faults)).collect();
    (faults.len() == before).then_some(Values::Many(scalars))
}

fn scalar(value: &Value, at: &At<'_>, faults: &mut Faults) -> Option<Scalar> {
    match value {
        Value::String(text) => Some(Scalar::Text(text.clone())),
        Value::Number(number) => Some(Scalar::Number(number.clone())),
        Value::Bool(truth) => Some(Scalar::Bool(*truth)),
        other => {
            let message = format!(
                "a value has to be a string, a number, a boolean or an array of these, not {}",
                kind_of(other)
            );
            faults.add(at, message);
            None
        }
    }
}

/// Writes the members `attribute`, `operator` and `value` into `object`.
pub(crate) fn render(condition: &Condition, object: &mut Map<String, Value>) {
    if !condition.operator.is_segment() {
        object.insert("attribute".into(), Value::from(condition.attribute.as_str()));
    }
    object.insert("operator".into(), Value::from(condition.operator.as_str()));
    match &condition.values {
        Values::Absent => {}
        Values::One(one) => {
            object.insert("value".into(), render_scalar(one));
        }
        Values::Many(many) => {
            object.insert("value".into(), many.iter().map(render_scalar).collect());
        }
    }
}

fn render_scalar(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Text(text) => Value::from(text.as_str()),
        Scalar::Number(number) => Value::Number(number.clone()),
        Scalar::Bool(truth) => Value::Bool(*truth),
    }
}
