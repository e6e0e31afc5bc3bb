//! What a flag can be, and what it is by default.

use serde_json::Value;

use crate::fault::{Faults, hint, listing, quote};
use crate::flag::check::{MOST_VARIANTS, NO_VARIANTS};
use crate::flag::implied_variants;
use crate::read::{Object, kind_of};
use crate::{ValueKind, Variant};

/// Everything about variants that has defaults.
pub(super) struct Variants {
    pub(super) kind: ValueKind,
    pub(super) list: Vec<Variant>,
    pub(super) default: String,
    pub(super) off: String,
}

pub(super) fn read(object: Object<'_>, faults: &mut Faults) -> Option<Variants> {
    let before = faults.len();
    let given = given(object, faults);
    let kind = kind(object, given.as_deref(), faults);
    if faults.len() > before {
        return None;
    }
    let kind = kind?;
    let list = given.or_else(|| implied(kind, object, faults))?;
    let default = default(object, kind, &list, faults);
    let off = name(object, "off_variant", &list, faults);
    let default = default?;
    let off = off.unwrap_or_else(|| match with_value(&list, &Value::Bool(false)) {
        Some(off) if kind == ValueKind::Boolean => off.name.clone(),
        _ => default.clone(),
    });
    Some(Variants { kind, list, default, off })
}

/// The variants that the definition names; none when it names none.
fn given(object: Object<'_>, faults: &mut Faults) -> Option<Vec<Variant>> {
    let items = object.items("variants", MOST_VARIANTS, faults)?;
    let at = object.at.member("variants");
    if items.is_empty() {
        faults.add(&at, NO_VARIANTS);
    }
    let mut variants = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index);
        let Some(object) = Object::new(item, "a variant", &at, faults) else {
            continue;
        };
        object.refuse_unknown(&["name", "value"], faults);
        let name = object.text("name", faults);
        if !object.has("name") {
            faults.add(&at.member("name"), "a variant needs a `name`");
        }
        // A value may be null, which elsewhere is the same as absent.
        let value = item.get("value");
        if value.is_none() {
            faults.add(&at.member("value"), "a variant needs a `value`");
        }
        variants.extend(name.zip(value).map(|(name, value)| Variant { name, value: value.clone() }));
    }
    Some(variants)
}

/// The kind that is named, or that the values show.
fn kind(object: Object<'_>, variants: Option<&[Variant]>, faults: &mut Faults) -> Option<ValueKind> {
    if let Some(name) = object.text("type", faults) {
        let kind = ValueKind::from_name(&name);
        if kind.is_none() {
            let hint = hint(&name, ValueKind::ALL.map(ValueKind::as_str));
            faults.add(&object.at.member("type"), format!("unknown type {}{hint}", quote(&name)));
        }
        return kind;
    }
    let mut kinds = match variants {
        Some(variants) => variants.iter().map(|variant| kind_shown(&variant.value)).collect(),
        None => object.get("default_value").map(kind_shown).into_iter().collect::<Vec<_>>(),
    };
    kinds.dedup();
    match kinds.as_slice() {
        [] => Some(ValueKind::Boolean),
        [kind] => Some(*kind),
        // Values of several kinds have only this in common.
        _ => Some(ValueKind::Json),
    }
}

fn kind_shown(value: &Value) -> ValueKind {
    match value {
        Value::Bool(_) => ValueKind::Boolean,
        Value::String(_) => ValueKind::String,
        Value::Number(_) => ValueKind::Number,
        _ => ValueKind::Json,
    }
}

/// What a definition without variants means: true and false, or just the one value it has.
fn implied(kind: ValueKind, object: Object<'_>, faults: &mut Faults) -> Option<Vec<Variant>> {
    if kind == ValueKind::Boolean {
        return Some(implied_variants().into());
    }
    let Some(value) = object.get("default_value") else {
        let kind = kind.as_str();
        let message = format!("a {kind} flag needs `variants`, or at least a `default_value`");
        faults.add(&object.at.member("variants"), message);
        return None;
    };
    Some(vec![Variant { name: "default".into(), value: value.clone() }])
}

/// Agreed on by `default_variant` and `default_value`.
fn default(object: Object<'_>, kind: ValueKind, variants: &[Variant], faults: &mut Faults) -> Option<String> {
    let named = name(object, "default_variant", variants, faults);
    let valued = match object.get("default_value") {
        Some(value) => with_default_value(object, value, variants, faults),
        None => None,
    };
    if object.has("default_variant") || object.has("default_value") {
        let Some(name) = named else {
            return valued.map(|variant| variant.name.clone());
        };
        let same = variants.iter().find(|variant| variant.name == name).zip(valued);
        if let Some((named, valued)) = same
            && !is_same(&named.value, &valued.value)
        {
            let message = format!(
                "`default_value` is the value of the variant {}, but `default_variant` is {}; give one of them",
                quote(&valued.name),
                quote(&name)
            );
            faults.add(&object.at.member("default_value"), message);
        }
        return Some(name);
    }
    let off = with_value(variants, &Value::Bool(false)).filter(|_| kind == ValueKind::Boolean);
    if off.is_none() {
        let choices = listing(variants.iter().map(|variant| variant.name.as_str()));
        let message = format!("say which variant is served when no rule matches: {choices}");
        faults.add(&object.at.member("default_variant"), message);
    }
    off.map(|variant| variant.name.clone())
}

fn with_default_value<'a>(
    object: Object<'_>,
    value: &Value,
    variants: &'a [Variant],
    faults: &mut Faults,
) -> Option<&'a Variant> {
    let variant = with_value(variants, value);
    if variant.is_none() {
        let values: Vec<String> = variants.iter().map(|variant| variant.value.to_string()).collect();
        let message = format!(
            "no variant has this value, {}; the values are {}",
            kind_of(value),
            listing(values.iter().map(String::as_str))
        );
        faults.add(&object.at.member("default_value"), message);
    }
    variant
}

fn with_value<'a>(variants: &'a [Variant], value: &Value) -> Option<&'a Variant> {
    variants.iter().find(|variant| is_same(&variant.value, value))
}

/// As JSON has it: 1 and 1.0 are the same number.
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64().zip(right.as_f64()).is_some_and(|(l, r)| l.total_cmp(&r).is_eq())
        }
        _ => left == right,
    }
}

/// A member that names a variant; for boolean values, the value will do.
pub(super) fn name(
    object: Object<'_>,
    member: &str,
    variants: &[Variant],
    faults: &mut Faults,
) -> Option<String> {
    let value = object.get(member)?;
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Bool(_) => {
            let variant = with_value(variants, value);
            if variant.is_none() && !variants.is_empty() {
                let names = listing(variants.iter().map(|variant| variant.name.as_str()));
                let message = format!("no variant has the value {}; name one of {names}", kind_of(value));
                faults.add(&object.at.member(member), message);
            }
            variant.map(|variant| variant.name.clone())
        }
        other => {
            let message = format!("`{member}` has to be the name of a variant, not {}", kind_of(other));
            faults.add(&object.at.member(member), message);
            None
        }
    }
}
