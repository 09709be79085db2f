//! Where values come from: the environment over the settings file. Collects what is wrong instead of
//! stopping at it, and never puts a secret's value into a message.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt::Display,
    path::{Path, PathBuf},
};

use tenantry_core::secrets::SecretText;

use super::{
    nearest::nearest,
    settings::{CONFIG_VARIABLE, Form, PREFIX, SETTINGS, names},
};

/// Variables with our prefix that are no settings: tests set some, and Kubernetes sets others for a
/// service that is called `tenantry`.
const FOREIGN: [&str; 5] = ["TEST_", "EXAMPLES", "FAILPOINTS", "SERVICE_", "PORT"];

/// What the operator should know although the start goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A variable with our prefix that means nothing.
    UnknownVariable {
        /// The variable.
        name: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// There is no app registration, so no tenant can be connected.
    NoAppRegistration,
}

/// Reads settings from both places.
pub struct Reader {
    environment: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    file_name: PathBuf,
    /// What is wrong, in the order in which it was found.
    pub problems: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
    asked: BTreeSet<&'static str>,
}

impl Reader {
    /// Takes the variables with our prefix and the file that one of them names.
    pub fn new(variables: impl Iterator<Item = (String, OsString)>) -> Self {
        let mut reader = Self {
            environment: BTreeMap::new(),
            file: BTreeMap::new(),
            file_name: PathBuf::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            asked: BTreeSet::new(),
        };
        for (variable, value) in variables {
            if variable == CONFIG_VARIABLE {
                reader.file_name = PathBuf::from(value);
            } else if let Some(name) = variable.strip_prefix(PREFIX) {
                reader.take_variable(name, value);
            }
        }
        if !reader.file_name.as_os_str().is_empty() {
            reader.take_file();
        }
        reader
    }

    /// A value of the environment. An empty one counts as not set: that is how container tools pass
    /// on a variable that has no value.
    fn take_variable(&mut self, name: &str, value: OsString) {
        let known: Vec<String> = names().collect();
        let is_of_file = SETTINGS
            .iter()
            .any(|setting| setting.name == name && setting.form == Form::FileOnly);
        if is_of_file {
            let key = name.to_ascii_lowercase();
            self.problems.push(format!(
                "{PREFIX}{name}: is no variable; give `{key}` in the file that {CONFIG_VARIABLE} names"
            ));
        } else if known.iter().any(|own| own == name) {
            match value.into_string() {
                Ok(value) if value.is_empty() => {}
                Ok(value) => {
                    self.environment.insert(name.to_owned(), value);
                }
                Err(_not_text) => self
                    .problems
                    .push(format!("{PREFIX}{name}: is not valid UTF-8")),
            }
        } else if !FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
            let nearest = nearest(name, known.iter().map(String::as_str));
            self.warnings.push(Warning::UnknownVariable {
                name: format!("{PREFIX}{name}"),
                nearest: nearest.map(|name| format!("{PREFIX}{name}")),
            });
        }
    }

    fn take_file(&mut self) {
        let path = self.file_name.display().to_string();
        let text = match std::fs::read_to_string(&self.file_name) {
            Ok(text) => text,
            Err(error) => {
                let problem = format!("{CONFIG_VARIABLE}: cannot read {path}: {error}");
                return self.problems.push(problem);
            }
        };
        let table: toml::Table = match toml::from_str(&text) {
            Ok(table) => table,
            Err(error) => {
                // The error's own text quotes the line, which may hold a secret.
                let line = error.span().and_then(|span| text.get(..span.start));
                let line = line.map_or(1, |before| before.matches('\n').count() + 1);
                let what = error.message().lines().next().unwrap_or_default();
                let problem = format!("{CONFIG_VARIABLE}: {path}, line {line}: {what}");
                return self.problems.push(problem);
            }
        };
        let known: Vec<String> = names().map(|name| name.to_ascii_lowercase()).collect();
        for (key, value) in table {
            if !known.contains(&key) {
                let hint = nearest(&key, known.iter().map(String::as_str));
                let hint =
                    hint.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
                self.problems
                    .push(format!("`{key}` in {path} is no setting{hint}"));
                continue;
            }
            match flat(value) {
                Some(text) if text.is_empty() => {}
                Some(text) => {
                    self.file.insert(key.to_ascii_uppercase(), text);
                }
                None => self.problems.push(format!(
                    "`{key}` in {path}: expected text, a number, true, false or a list of texts"
                )),
            }
        }
    }

    /// Notes that a setting cannot be used as it is.
    pub fn refuse(&mut self, name: &'static str, why: impl Display) {
        let given_in_file =
            |name: &str| self.file.contains_key(name) && !self.environment.contains_key(name);
        let origin = if given_in_file(name) || given_in_file(&format!("{name}_FILE")) {
            format!(
                " (`{}` in {})",
                name.to_ascii_lowercase(),
                self.file_name.display()
            )
        } else {
            String::new()
        };
        self.problems.push(format!("{PREFIX}{name}{origin}: {why}"));
    }

    /// The value of a setting that is no secret.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.asked.insert(name);
        self.environment
            .get(name)
            .or_else(|| self.file.get(name))
            .cloned()
    }

    /// A setting that is no secret, read by `parse`; the message shows the value and why it was
    /// refused. `None` when it is not set or was refused.
    pub fn parsed<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(name)?;
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(name, format!("{text:?} is refused: {error}"));
                None
            }
        }
    }

    /// A comma-separated list, each part read by `parse`; parts that are refused are left out.
    pub fn list<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let text = self.text(name).unwrap_or_default();
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let mut values = Vec::new();
        for part in parts {
            match parse(part) {
                Ok(value) => values.push(value),
                Err(error) => self.refuse(name, format!("{part:?} is refused: {error}")),
            }
        }
        values
    }

    /// A secret, given as a value or by a file. Environment and file are two layers: either form in
    /// the environment hides both forms of the file; both forms in one layer are refused.
    pub fn secret(&mut self, name: &'static str) -> Option<SecretText> {
        self.asked.insert(name);
        let file_form = format!("{name}_FILE");
        let layers = [&self.environment, &self.file];
        let found = layers.into_iter().find_map(|layer| {
            let forms = (layer.get(name).cloned(), layer.get(&file_form).cloned());
            (forms != (None, None)).then_some(forms)
        });
        match found? {
            (Some(_), Some(_)) => {
                self.refuse(
                    name,
                    format!("{PREFIX}{file_form} is set too; set one of them"),
                );
                None
            }
            (Some(value), None) => Some(SecretText::new(value)),
            (None, Some(path)) => self.secret_in(name, Path::new(&path)),
            (None, None) => None,
        }
    }

    /// The file that holds a secret; none when it is given as a value or not at all.
    pub fn file_of_secret(&self, name: &str) -> Option<PathBuf> {
        let file_form = format!("{name}_FILE");
        let layers = [&self.environment, &self.file].into_iter();
        let mut given =
            layers.filter(|layer| layer.contains_key(name) || layer.contains_key(&file_form));
        given.next()?.get(&file_form).map(PathBuf::from)
    }

    /// A secret that can be given by a file only; `name` ends in `_FILE`.
    pub fn secret_file(&mut self, name: &'static str) -> Option<SecretText> {
        let path = self.text(name)?;
        self.secret_in(name, Path::new(&path))
    }

    /// The content of a secret's file without its trailing newline.
    fn secret_in(&mut self, name: &'static str, path: &Path) -> Option<SecretText> {
        let content = match std::fs::read_to_string(path) {
            Ok(content) => SecretText::new(content),
            Err(error) => {
                self.refuse(name, format!("cannot read {}: {error}", path.display()));
                return None;
            }
        };
        let text = content.expose().trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            self.refuse(name, format!("the file {} is empty", path.display()));
            return None;
        }
        Some(SecretText::new(text.to_owned()))
    }

    /// Whether a setting was given in any form, usable or not.
    pub fn is_given(&self, name: &str) -> bool {
        let file_form = format!("{name}_FILE");
        let has = |layer: &BTreeMap<String, String>| {
            layer.contains_key(name) || layer.contains_key(&file_form)
        };
        has(&self.environment) || has(&self.file)
    }

    /// The settings that were asked for, to prove that the list and the reading are the same.
    #[cfg(test)]
    pub fn asked(&self) -> &BTreeSet<&'static str> {
        &self.asked
    }
}

/// A value of the file as the environment would hold it; `None` for a value of no use here.
fn flat(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<String>> = items
                .into_iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
