//! The numbers of all rounds, as a table for people and a file for programs.

use std::{collections::BTreeMap, ffi::OsString};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// What was measured, by case and measure, in the order in which it first came.
#[derive(Default)]
pub struct Table {
    order: Vec<(String, &'static str)>,
    values: BTreeMap<(String, &'static str), Vec<f64>>,
}

impl Table {
    /// Notes one number of one round.
    pub fn note(&mut self, case: &str, measure: &'static str, value: f64) {
        let key = (case.to_owned(), measure);
        if !self.values.contains_key(&key) {
            self.order.push(key.clone());
        }
        self.values.entry(key).or_default().push(value);
    }

    fn rows(&self) -> impl Iterator<Item = (&str, &'static str, Spread)> {
        self.order.iter().filter_map(|key| {
            let spread = Spread::of(self.values.get(key)?)?;
            Some((key.0.as_str(), key.1, spread))
        })
    }

    /// One line a measure: median, least and most of all rounds.
    pub fn print(&self) {
        println!(
            "{:<44} {:<34} {:>10} {:>10} {:>10}",
            "case", "measure", "median", "least", "most"
        );
        for (case, measure, spread) in self.rows() {
            println!(
                "{case:<44} {measure:<34} {:>10.2} {:>10.2} {:>10.2}",
                spread.median, spread.least, spread.most
            );
        }
    }

    /// The same as JSON.
    pub fn write(&self, file: Option<OsString>) -> Result<()> {
        let Some(file) = file else {
            return Ok(());
        };
        let rows: Vec<Value> = self
            .rows()
            .map(|(case, measure, spread)| {
                json!({"case": case, "measure": measure, "median": spread.median,
                       "least": spread.least, "most": spread.most})
            })
            .collect();
        let text = serde_json::to_string_pretty(&json!({"rows": rows}))?;
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// What the rounds of one measure came to.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = if sorted.len() % 2 == 1 {
            upper
        } else {
            (sorted.get(middle.wrapping_sub(1)).copied().unwrap_or(upper) + upper) / 2.0
        };
        Some(Self {
            median,
            least,
            most,
        })
    }
}
