//! Which of the published tests are run, and which are not and why.

use super::Judged;

/// One file of tests.
pub(super) struct Suite {
    pub(super) name: &'static str,
    /// Not even the real server passes them here.
    nobody: &'static [Skip],
    /// What our server does not have.
    ours: &'static [Skip],
}

/// One test that is left out.
pub(super) struct Skip {
    pub(super) test: &'static str,
    pub(super) why: &'static str,
}

const INTERNET: &str = "talks to a server in the internet";
const CLUSTER: &str = "needs a cluster";
const LEAF: &str = "needs leaf nodes";
const COPIES: &str = "mirrors, sources and subject transforms are refused";
const PRIORITY: &str = "priority groups, pausing and resetting of consumers are refused";
const BATCHES: &str = "batched publishing is refused";
const LIMITS: &str = "a stream's limits for its consumers are without effect";
const LEVEL: &str = "needs a server that says it is of version 2.11";
const RESTART: &str = "the program alone keeps streams as long as it runs";

/// Every file that is run.
pub(super) const SUITES: &[Suite] = &[
    Suite {
        name: "client_tests",
        nobody: &[Skip { test: "client::connect_domain", why: INTERNET }],
        ours: &[],
    },
    Suite {
        name: "tls_tests",
        nobody: &[
            Skip { test: "client::custom_tls_client", why: INTERNET },
            Skip { test: "client::tls_with_native_certs", why: INTERNET },
        ],
        ours: &[],
    },
    Suite {
        name: "jetstream_tests",
        nobody: &[Skip { test: "jetstream::create_stream_with_replicas", why: CLUSTER }],
        ours: &[
            Skip { test: "jetstream::mirrors", why: COPIES },
            Skip { test: "jetstream::mirrors_remove", why: COPIES },
            Skip { test: "jetstream::sources", why: COPIES },
            Skip { test: "jetstream::source_consumer_round_trip", why: COPIES },
            Skip { test: "jetstream::stream_subject_transforms", why: COPIES },
            Skip { test: "jetstream::subject_transform", why: COPIES },
            Skip { test: "jetstream::consumer_overflow", why: PRIORITY },
            Skip { test: "jetstream::consumer_overflow_stream", why: PRIORITY },
            Skip { test: "jetstream::consumer_priority_timeout", why: PRIORITY },
            Skip { test: "jetstream::prioritized_pull_consumer", why: PRIORITY },
            Skip { test: "jetstream::prioritized_fetch", why: PRIORITY },
            Skip { test: "jetstream::pause_consumer", why: PRIORITY },
            Skip { test: "jetstream::consumer_reset", why: PRIORITY },
            Skip { test: "jetstream::allow_batch_publish_round_trip", why: BATCHES },
            Skip { test: "jetstream::limits", why: LIMITS },
            Skip { test: "jetstream::push_ordered_recreate", why: RESTART },
            Skip { test: "jetstream::push_ordered_recreate_after_idle_restart", why: RESTART },
            Skip { test: "jetstream::pull_consumer_with_reconnections", why: RESTART },
        ],
    },
    Suite {
        name: "kv_tests",
        nobody: &[],
        ours: &[
            Skip { test: "kv::cross_account_mirrors", why: LEAF },
            Skip { test: "kv::create_with_ttl", why: LEVEL },
            Skip { test: "kv::limit_markers", why: LEVEL },
            Skip { test: "kv::purge_with_ttl", why: LEVEL },
            Skip { test: "kv::watch_with_limit_markers", why: LEVEL },
            Skip { test: "kv::watch_with_markers", why: LEVEL },
        ],
    },
    Suite { name: "nkey_tests", nobody: &[], ours: &[] },
    Suite { name: "jwt_tests", nobody: &[], ours: &[] },
    Suite { name: "websocket_test", nobody: &[], ours: &[] },
    Suite {
        name: "server_pool_tests",
        nobody: &[
            Skip { test: "server_pool::server_pool_contains_discovered_servers", why: CLUSTER },
            Skip { test: "server_pool::set_server_pool_marks_all_as_explicit", why: CLUSTER },
        ],
        ours: &[],
    },
    Suite { name: "subject_validation_test", nobody: &[], ours: &[] },
];

impl Suite {
    /// What is left out when `judged` is under test.
    pub(super) fn skipped(&self, judged: Judged) -> Vec<&'static Skip> {
        let ours = if judged == Judged::Ours { self.ours } else { &[] };
        self.nobody.iter().chain(ours).collect()
    }
}

/// Skipped tests that are not in the list the test program printed: they were renamed, or never there.
pub(super) fn unknown(skipped: &[&'static Skip], listed: &str) -> Vec<&'static str> {
    let there = |test: &str| listed.lines().any(|line| line.strip_suffix(": test") == Some(test));
    skipped.iter().map(|skip| skip.test).filter(|test| !there(test)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: Suite = Suite {
        name: "suite",
        nobody: &[Skip { test: "a::far", why: INTERNET }],
        ours: &[Skip { test: "a::many", why: CLUSTER }],
    };

    fn names(judged: Judged) -> Vec<&'static str> {
        SUITE.skipped(judged).iter().map(|skip| skip.test).collect()
    }

    #[test]
    fn the_real_server_is_spared_nothing_that_only_ours_lacks() {
        assert_eq!(names(Judged::Ours), ["a::far", "a::many"]);
        assert_eq!(names(Judged::Real), ["a::far"]);
    }

    #[test]
    fn a_skip_that_names_no_test_is_found_out() {
        let skipped = SUITE.skipped(Judged::Ours);
        assert_eq!(unknown(&skipped, "a::far: test\na::many: test\n"), Vec::<&str>::new());
        assert_eq!(unknown(&skipped, "a::far: test\na::many_more: test\n"), ["a::many"]);
    }

    #[test]
    fn every_skip_has_a_reason() {
        let skips = || SUITES.iter().flat_map(|suite| suite.nobody.iter().chain(suite.ours));
        assert!(skips().all(|skip| !skip.why.is_empty()));
    }
}
