//! What microVMs need: KVM, programs, a kernel, a root file system, cgroups, a user.

use flagbase_functions::{Checked, Driver, Verdict, check_microvms};

use super::Finding;
use crate::app::functions::driver;
use crate::config::Config;

/// All findings about microVMs; none when nothing runs in them.
pub(super) async fn checks(config: &Config) -> Vec<Finding> {
    match driver(config) {
        Driver::Firecracker(options) => check_microvms(*options).await.into_iter().map(finding).collect(),
        Driver::Wasm(_) | Driver::None => Vec::new(),
    }
}

fn finding(checked: Checked) -> Finding {
    let Checked { check, verdict, detail } = checked;
    match verdict {
        Verdict::Good => Finding::good(check, detail),
        Verdict::Doubtful => Finding::doubtful(check, detail),
        Verdict::Bad => Finding::bad(check, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_told_as_it_is() {
        let detail = "`/dev/kvm` is not there".to_owned();
        let told = finding(Checked { check: "kvm", verdict: Verdict::Bad, detail });
        let json = told.json();
        assert_eq!((&json["check"], &json["result"]), (&"kvm".into(), &"failed".into()));
        let told = finding(Checked { check: "jailer", verdict: Verdict::Doubtful, detail: String::new() });
        assert_eq!(told.json()["result"], "warning");
    }
}
