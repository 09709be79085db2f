//! `cargo xtask bench`: how fast the product is, as ratios measured side by side in one run.
//!
//! Each round runs all cases in turn, so that what else the machine does meets them alike. A case tells a
//! few numbers; the table shows their median, spread and the ratio to what it is measured against. Nothing
//! here passes or fails.

mod customer_sync;
mod matching;
mod memory;
mod table;

use anyhow::{Result, bail};
use tenantry_tests::database::Backend;

use self::table::Table;

/// Both databases, with the word for each.
const DATABASES: [(Backend, &str); 2] = [
    (Backend::Sqlite, "SQLite"),
    (Backend::Postgres, "PostgreSQL"),
];

#[tokio::main]
async fn main() -> Result<()> {
    let mut rounds = 3;
    let mut only = String::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--rounds", Some(number)) => rounds = number.parse()?,
            ("--only", Some(part)) => only = part,
            _ => bail!("usage: cargo xtask bench [-- --rounds N] [-- --only PART-OF-A-NAME]"),
        }
    }
    let mut table = Table::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        if "customer sync".contains(&only) {
            customer_sync::round(&mut table).await?;
        }
        if "matching".contains(&only) {
            matching::round(&mut table).await?;
        }
    }
    table.print();
    table.write(std::env::var_os("TENANTRY_BENCH_REPORT"))
}
