//! Puts the commit and its date into the binary. Development builds say `dev`, so that a commit does not rebuild them.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FLAGBASE_COMMIT");
    println!("cargo:rerun-if-env-changed=FLAGBASE_BUILD_DATE");
    let release = std::env::var_os("PROFILE").is_some_and(|profile| profile == "release");
    if release {
        println!("cargo:rerun-if-changed=../../.git/logs/HEAD");
    }
    for (name, format) in [("FLAGBASE_COMMIT", "%h"), ("FLAGBASE_BUILD_DATE", "%cI")] {
        let given = std::env::var_os(name).and_then(|value| value.into_string().ok());
        let found = given.or_else(|| if release { git(format) } else { Some("dev".to_owned()) });
        println!("cargo:rustc-env={name}={}", found.unwrap_or_else(|| "unknown".to_owned()));
    }
}

fn git(format: &str) -> Option<String> {
    let output = Command::new("git").args(["log", "-1", &format!("--format={format}")]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
