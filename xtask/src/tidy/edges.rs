//! Which crate may know which: the arrows of the architecture.

use std::collections::BTreeMap;

use crate::workspace::Dependency;

/// What a member may depend on in the product, and what beyond that in its tests.
struct Rule {
    name: &'static str,
    product: &'static [&'static str],
    tests: &'static [&'static str],
}

const CORE: &[&str] = &["flagbase-core"];
/// What serves clients over HTTP.
const SERVING: &[&str] = &["flagbase-core", "flagbase-sendfile", "flagbase-linger"];
const TESTKIT: &[&str] = &["flagbase-testkit"];

const RULES: [Rule; 15] = [
    Rule { name: "flagbase-engine", product: &[], tests: &[] },
    Rule { name: "flagbase-core", product: &["flagbase-engine"], tests: TESTKIT },
    Rule { name: "flagbase-store", product: &["flagbase-core", "flagbase-nats"], tests: TESTKIT },
    Rule { name: "flagbase-events", product: &["flagbase-core", "flagbase-nats"], tests: TESTKIT },
    Rule { name: "flagbase-gateway", product: SERVING, tests: TESTKIT },
    Rule { name: "flagbase-api", product: CORE, tests: TESTKIT },
    Rule { name: "flagbase-nats", product: &[], tests: &[] },
    Rule { name: "flagbase-agent", product: &[], tests: &[] },
    Rule { name: "flagbase-functions", product: &["flagbase-core", "flagbase-agent"], tests: TESTKIT },
    Rule { name: "flagbase-buckets", product: SERVING, tests: TESTKIT },
    Rule { name: "flagbase-sendfile", product: CORE, tests: &[] },
    Rule { name: "flagbase-linger", product: &[], tests: &[] },
    Rule { name: "flagbase-testkit", product: CORE, tests: &[] },
    Rule {
        name: "flagbase",
        product: &[
            "flagbase-engine",
            "flagbase-core",
            "flagbase-store",
            "flagbase-events",
            "flagbase-gateway",
            "flagbase-api",
            "flagbase-nats",
            "flagbase-functions",
            "flagbase-buckets",
        ],
        tests: TESTKIT,
    },
    Rule { name: "xtask", product: &[], tests: &[] },
];

/// Every arrow that is not in the drawing, and every member that is not.
pub(super) fn findings(edges: &BTreeMap<&str, Vec<&Dependency>>) -> Vec<String> {
    edges.iter().flat_map(|(name, edges)| of_member(name, edges)).collect()
}

fn of_member(name: &str, edges: &[&Dependency]) -> Vec<String> {
    let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
        return vec![format!("{name}: a new crate, say in `xtask/src/tidy/edges.rs` what it may know")];
    };
    edges
        .iter()
        .filter(|edge| !rule.permits(edge))
        .map(|edge| {
            let kind = edge.kind.as_deref().unwrap_or("normal");
            format!("{name}: must not know `{}` ({kind} dependency)", edge.name)
        })
        .collect()
}

impl Rule {
    fn permits(&self, edge: &Dependency) -> bool {
        let named = |names: &[&str]| names.contains(&edge.name.as_str());
        named(self.product) || (edge.kind.as_deref() == Some("dev") && named(self.tests))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, to: &str, kind: Option<&str>) -> Vec<String> {
        let edge = Dependency { name: to.to_owned(), kind: kind.map(str::to_owned) };
        findings(&BTreeMap::from([(name, vec![&edge])]))
    }

    #[test]
    fn adapters_know_the_core_and_not_each_other() {
        assert_eq!(check("flagbase-store", "flagbase-core", None), Vec::<String>::new());
        assert_eq!(
            check("flagbase-api", "flagbase-store", None),
            ["flagbase-api: must not know `flagbase-store` (normal dependency)"]
        );
    }

    #[test]
    fn the_engine_knows_nothing_of_ours() {
        assert_eq!(check("flagbase-engine", "flagbase-core", None).len(), 1);
        assert_eq!(check("flagbase-engine", "flagbase-testkit", Some("dev")).len(), 1);
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        assert_eq!(check("flagbase", "flagbase-testkit", Some("dev")), Vec::<String>::new());
        assert_eq!(check("flagbase", "flagbase-testkit", None).len(), 1);
        assert_eq!(check("flagbase", "flagbase-testkit", Some("build")).len(), 1);
    }

    #[test]
    fn a_crate_that_is_not_in_the_drawing_is_a_finding() {
        assert_eq!(findings(&BTreeMap::from([("flagbase-new", Vec::new())])).len(), 1);
    }
}
