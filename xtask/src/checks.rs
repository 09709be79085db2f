//! What the compiler cannot check about the tree: who depends on whom, where SQL may stand, and
//! that the list of security requirements and the tests agree. A file not equal to what cargo would
//! lock is found on the way: every cargo call here says `--locked`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

use crate::{cargo, security_list};

/// `cargo xtask checks`.
pub fn run(write: bool) -> Result<ExitCode> {
    check(write)?;
    println!("the tree is in shape");
    Ok(ExitCode::SUCCESS)
}

/// All checks; the error lists every breach, not the first one only. With `write` the generated part
/// of the security list is brought up to date first.
pub fn check(write: bool) -> Result<()> {
    let mut breaches = dependencies()?;
    breaches.extend(sql_outside_its_place()?);
    breaches.extend(adapters_named_in_core()?);
    breaches.extend(security_list::check(write)?);
    if !breaches.is_empty() {
        bail!("the tree is out of shape:\n  {}", breaches.join("\n  "));
    }
    Ok(())
}

/// A package, and crates that must not be among what it is built from.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "tenantry-core",
        &["actix-web", "utoipa", "tenantry-api"],
        "core knows no HTTP server",
    ),
    (
        "tenantry-psa",
        &[
            "tenantry-core",
            "tenantry-api",
            "tenantry-tests",
            "diesel",
            "actix-web",
        ],
        "an adapter is a leaf",
    ),
    (
        "tenantry-api",
        &["tenantry-tests"],
        "the product contains no stand-in",
    ),
    (
        "tenantry-tests",
        &["tenantry-core", "tenantry-api"],
        "the stand-in owes nothing to the product",
    ),
    (
        "xtask",
        &["tenantry-core", "tenantry-api", "tenantry-tests", "diesel"],
        "xtask builds alone",
    ),
];

/// A package and what it must be built from: were a crate renamed, the list above would be green by
/// accident, and this one red.
const NEEDED: &[(&str, &[&str])] = &[
    (
        "tenantry-api",
        &["actix-web", "utoipa", "tenantry-core", "diesel"],
    ),
    ("tenantry-core", &["diesel"]),
    ("tenantry-tests", &["actix-web"]),
    ("tenantry-psa", &["tenantry-psa"]),
    ("xtask", &["clap"]),
];

/// The edges between crates. What only tests use is left out: core's tests may use the stand-in.
fn dependencies() -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    for (package, forbidden, reason) in FORBIDDEN {
        let tree = dependencies_of(package)?;
        for name in forbidden
            .iter()
            .filter(|name| tree.iter().any(|found| found == *name))
        {
            breaches.push(format!("{package} is built from {name}: {reason}"));
        }
    }
    for (package, needed) in NEEDED {
        let tree = dependencies_of(package)?;
        for name in needed
            .iter()
            .filter(|name| !tree.iter().any(|found| found == *name))
        {
            breaches.push(format!(
                "{package} is not built from {name}: if it was renamed, so must it be in xtask/src/checks.rs"
            ));
        }
    }
    Ok(breaches)
}

/// Names of a package and of everything it is built from.
fn dependencies_of(package: &str) -> Result<Vec<String>> {
    let arguments = [
        "tree",
        "--locked",
        "--all-features",
        "--edges",
        "no-dev",
        "--prefix",
        "none",
        "--package",
        package,
    ];
    let output = cargo::command(&arguments)
        .output()
        .context("cannot run `cargo tree`")?;
    if !output.status.success() {
        bail!(
            "`cargo tree` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let tree = String::from_utf8(output.stdout).context("`cargo tree` prints text")?;
    Ok(tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(String::from)
        .collect())
}

/// `diesel` is named in `store/` and in the rooms' queries, nowhere else in core.
fn sql_outside_its_place() -> Result<Vec<String>> {
    let core = cargo::root().join("core/src");
    let mut breaches = Vec::new();
    for file in rust_files(&core)? {
        let place = file.strip_prefix(&core)?;
        if !may_name_diesel(place) && names_diesel(&fs::read_to_string(&file)?) {
            breaches.push(format!(
                "core/src/{} names diesel: SQL stands in store/ and in queries.rs",
                place.display()
            ));
        }
    }
    Ok(breaches)
}

fn may_name_diesel(place: &Path) -> bool {
    place.starts_with("store")
        || place.ends_with("queries.rs")
        || place.components().any(|part| part.as_os_str() == "queries")
}

/// Whether the code names the crate; comments may.
fn names_diesel(code: &str) -> bool {
    code.lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"))
        .any(|line| line.contains("diesel::") || line.contains("use diesel"))
}

/// Core knows the trait of the adapters and none of them by name: the wiring gives it one.
fn adapters_named_in_core() -> Result<Vec<String>> {
    let core = cargo::root().join("core/src");
    let mut breaches = Vec::new();
    for file in rust_files(&core)? {
        let code = fs::read_to_string(&file)?;
        for adapter in ["connectwise", "autotask", "halopsa", "registry"] {
            if code.contains(&format!("tenantry_psa::{adapter}")) {
                breaches.push(format!(
                    "core/src/{} names the adapter {adapter}: core is given one by the wiring",
                    file.strip_prefix(&core)?.display()
                ));
            }
        }
    }
    Ok(breaches)
}

/// All Rust files under a folder, in a stable order.
pub fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_has_its_places() {
        for place in [
            "store/schema.rs",
            "tenants/queries.rs",
            "sync/queries/runs.rs",
        ] {
            assert!(may_name_diesel(Path::new(place)), "{place}");
        }
        for place in [
            "tenants/service.rs",
            "sync/queries_of_sorts.rs",
            "tenants/store.rs",
        ] {
            assert!(!may_name_diesel(Path::new(place)), "{place}");
        }
    }

    #[test]
    fn naming_diesel_in_a_comment_is_not_using_it() {
        assert!(names_diesel(
            "fn a() {\n    let b = diesel::insert_into(c);\n}"
        ));
        assert!(names_diesel("use diesel::prelude::*;"));
        assert!(!names_diesel(
            "//! Unlike diesel::Connection::transaction, this one sets the organisation."
        ));
    }
}
