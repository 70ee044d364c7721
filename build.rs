//! Looks for PgBouncer, so that the tests of poolers are shown as ignored where it is missing, instead of passing unseen.

use std::env;
use std::path::{Path, PathBuf};

/// Where packages put it, apart from `PATH`.
const USUAL: &[&str] = &["/usr/sbin", "/usr/local/sbin"];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(has_pgbouncer)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SETPOINT_PGBOUNCER");
    println!("cargo::rerun-if-env-changed=PATH");
    for dir in USUAL.iter().filter(|dir| Path::new(dir).is_dir()) {
        println!("cargo::rerun-if-changed={dir}");
    }
    let named = env::var_os("SETPOINT_PGBOUNCER").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let places = USUAL.iter().map(PathBuf::from).chain(env::split_paths(&path)).map(|dir| dir.join("pgbouncer"));
    if let Some(file) = named.into_iter().chain(places).find(|file| file.is_file()) {
        println!("cargo::rustc-cfg=has_pgbouncer");
        println!("cargo::rustc-env=SETPOINT_TEST_PGBOUNCER={}", file.display());
    }
}
