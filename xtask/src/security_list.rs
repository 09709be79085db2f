//! `docs/security.md` lists every security and reliability requirement by its id. A test that shows
//! one carries the id at the front of its name (`c1_…`); the column "shown by" is written from those
//! names, and a requirement that no test shows must say why.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, bail};

use crate::{cargo, checks};

/// Where tests are.
const FOLDERS: &[&str] = &["api", "core", "psa-adapters", "tests"];

/// The reason that goes away by itself when the first test comes.
const UNTESTED: &str = "no test yet";

/// Compares the list with the tests, after bringing its generated column up to date when `write`.
pub fn check(write: bool) -> Result<Vec<String>> {
    let file = cargo::root().join("docs/security.md");
    let page = fs::read_to_string(&file).context("cannot read docs/security.md")?;
    let tests = tests()?;
    let known: Vec<&str> = page
        .lines()
        .filter_map(Row::read)
        .map(|row| row.id)
        .collect();
    if known.is_empty() {
        bail!("docs/security.md lists no requirement");
    }
    let mut breaches: Vec<String> = tests
        .iter()
        .filter(|(id, _)| !known.contains(&id.as_str()))
        .map(|(id, names)| {
            format!(
                "{} names {id}, which docs/security.md does not list",
                names.join(", ")
            )
        })
        .collect();

    let renewed = renewed(&page, &tests);
    if write && renewed != page {
        fs::write(&file, &renewed).context("cannot write docs/security.md")?;
    } else if renewed != page {
        breaches
            .push("docs/security.md is not up to date: run `cargo xtask checks --write`".into());
    }
    for row in renewed.lines().filter_map(Row::read) {
        if row.shown_by.is_empty() && row.not_yet.is_empty() {
            breaches.push(format!(
                "docs/security.md: no test shows {} and no reason is given",
                row.id
            ));
        }
    }
    Ok(breaches)
}

/// One line of a table: `| C1 | shown by | not yet, because |`.
struct Row<'a> {
    id: &'a str,
    shown_by: &'a str,
    not_yet: &'a str,
}

impl<'a> Row<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let cells = line.strip_prefix('|')?.strip_suffix('|')?;
        let mut cells = cells.split('|').map(str::trim);
        let row = Self {
            id: cells.next()?,
            shown_by: cells.next()?,
            not_yet: cells.next()?,
        };
        (is_id(&row.id.to_lowercase()) && cells.next().is_none()).then_some(row)
    }
}

/// The page with its column "shown by" written from the tests.
fn renewed(page: &str, tests: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = String::new();
    for line in page.lines() {
        match Row::read(line) {
            Some(Row { id, not_yet, .. }) => {
                let names = tests
                    .get(id)
                    .map(|names| names.join(", "))
                    .unwrap_or_default();
                let outdated = not_yet == UNTESTED && !names.is_empty();
                let not_yet = if outdated { "" } else { not_yet };
                let cells = [id, &names, not_yet].map(|cell| match cell {
                    "" => String::from(" "),
                    cell => format!(" {cell} "),
                });
                text.push_str(&format!("|{}|", cells.join("|")));
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Names of tests by the ids they carry, as the page shows them.
fn tests() -> Result<BTreeMap<String, Vec<String>>> {
    let mut tests = BTreeMap::<String, Vec<String>>::new();
    for folder in FOLDERS {
        let package = cargo::root().join(folder);
        for file in checks::rust_files(&package)? {
            let of_tests_only = file.starts_with(package.join("tests"));
            for name in test_names(&fs::read_to_string(&file)?, of_tests_only) {
                for id in ids(name) {
                    tests.entry(id).or_default().push(format!("`{name}`"));
                }
            }
        }
    }
    for names in tests.values_mut() {
        names.sort();
        names.dedup();
    }
    Ok(tests)
}

/// The functions in a file that are tests: all of them in a file of tests (a macro may be what makes
/// them so), elsewhere those under an attribute that says it.
fn test_names(code: &str, of_tests_only: bool) -> Vec<&str> {
    let mut names = Vec::new();
    let mut attributed = false;
    for line in code.lines().map(str::trim_start) {
        if line.starts_with("#[") {
            attributed |= line.contains("test");
        } else if let Some(name) = function(line) {
            names.extend((of_tests_only || attributed).then_some(name));
            attributed = false;
        }
    }
    names
}

/// The name of the function that this line begins.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start_matches("pub ").trim_start_matches("async ");
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// The ids at the front of a name: `c1_c11_both_hold` carries two.
fn ids(name: &str) -> Vec<String> {
    name.split('_')
        .take_while(|word| is_id(word))
        .map(str::to_uppercase)
        .collect()
}

/// A letter of a chapter and a number, in lower case.
fn is_id(word: &str) -> bool {
    let mut characters = word.chars();
    let letter = characters
        .next()
        .is_some_and(|letter| "cvazgnjldsoir".contains(letter));
    let number = characters.as_str();
    letter && matches!(number.len(), 1 | 2) && number.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stand_at_the_front_of_a_name() {
        assert_eq!(ids("c1_c11_callback_naming_another_tenant"), ["C1", "C11"]);
        assert_eq!(ids("a_key_of_32_bytes"), Vec::<String>::new());
        assert_eq!(ids("x1_is_no_chapter"), Vec::<String>::new());
    }

    #[test]
    fn tests_are_told_from_other_functions() {
        let code =
            "#[tokio::test]\nasync fn r4_stale_worker() {}\n// fn c1_gone() {}\nfn v1_path() {}";
        assert_eq!(test_names(code, false), ["r4_stale_worker"]);
        assert_eq!(
            test_names("both! {\n    fn c1_refused(db: Database) {}\n}", true),
            ["c1_refused"]
        );
    }

    #[test]
    fn only_the_generated_column_is_renewed() {
        let tests = ["C1", "C2"].map(|id| (id.to_string(), vec![format!("`{id}`")]));
        let head = "# List\n| id | shown by | not yet, because |\n|---|---|---|\n";
        let page = "| C1 | `old` | partly |\n| C2 | | no test yet |\n| C3 | | no test yet |\n";
        let expected = "| C1 | `C1` | partly |\n| C2 | `C2` | |\n| C3 | | no test yet |\n";
        let renewed = renewed(&format!("{head}{page}"), &BTreeMap::from(tests));
        assert_eq!(renewed, format!("{head}{expected}"));
    }
}
