//! Parameters of a query: only the ones a call knows, and each at most once.

use std::{
    future::{Ready, ready},
    str::FromStr,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use url::form_urlencoded;

use crate::problem::{Problem, catalogue};

/// Longest value of a parameter, in bytes.
const VALUE_LIMIT: usize = 2_048;

/// What a query says, as the type a handler wants.
pub struct QueryParams<T>(pub T);

/// A type that is read from a query.
pub trait FromQuery: Sized {
    /// The parameters it knows.
    const ALLOWED: &'static [&'static str];

    /// Reads it; unknown parameters were refused before.
    ///
    /// # Errors
    /// A problem about the first parameter that is not acceptable.
    fn from_query(query: &Query) -> Result<Self, Problem>;
}

/// For calls without any parameter.
pub struct NoParameters;

impl FromQuery for NoParameters {
    const ALLOWED: &'static [&'static str] = &[];

    fn from_query(_query: &Query) -> Result<Self, Problem> {
        Ok(Self)
    }
}

impl<T: FromQuery + 'static> FromRequest for QueryParams<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let query = Query::parse(request.query_string(), T::ALLOWED);
        ready(query.and_then(|query| T::from_query(&query)).map(Self))
    }
}

/// Names and values in the order of the query.
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    fn parse(text: &str, allowed: &[&str]) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes())
            .into_owned()
            .collect();
        for (name, value) in &pairs {
            if !allowed.contains(&name.as_str()) {
                let detail = match allowed {
                    [] => "This call has no parameters.".to_owned(),
                    names => format!("This call knows the parameters {}.", names.join(", ")),
                };
                return Err(Problem::parameter(
                    &catalogue::UNKNOWN_PARAMETER,
                    &shortened(name),
                    detail,
                ));
            }
            if let Some(fault) = fault_of(value) {
                return Err(invalid(name, fault));
            }
        }
        Ok(Self { pairs })
    }

    /// All values of a parameter that may be repeated.
    pub fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.pairs
            .iter()
            .filter(move |(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that may stand there once.
    ///
    /// # Errors
    /// `invalidParameter` when it is repeated.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self
            .pairs
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_str());
        let value = values.next();
        if values.next().is_some() {
            return Err(invalid(name, "The parameter stands there more than once."));
        }
        Ok(value)
    }

    /// The value of a parameter, read as a type; `expected` says what it must be.
    ///
    /// # Errors
    /// `invalidParameter` when it is repeated or something else.
    pub fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        self.parsed_by(name, expected, str::parse)
    }

    /// The value of a parameter, read by a function.
    ///
    /// # Errors
    /// `invalidParameter` when it is repeated or the function refuses it.
    pub fn parsed_by<T, E>(
        &self,
        name: &str,
        expected: &str,
        reader: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let refused = || invalid(name, &format!("Expected {expected}."));
        self.one(name)?
            .map(|value| reader(value).or(Err(refused())))
            .transpose()
    }

    /// All values of a parameter that may be repeated, each read as a type.
    ///
    /// # Errors
    /// `invalidParameter` when one is something else.
    pub fn all_parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Vec<T>, Problem> {
        self.all(name)
            .map(|value| read(name, value, expected))
            .collect()
    }

    /// Text to search for; an empty one is none.
    ///
    /// # Errors
    /// `invalidParameter` when it is repeated or too long.
    pub fn search(&self) -> Result<Option<String>, Problem> {
        const LONGEST: usize = 200;
        match self.one("search")? {
            Some(text) if text.chars().count() > LONGEST => {
                Err(invalid("search", "The text is longer than 200 characters."))
            }
            Some(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            None => Ok(None),
        }
    }

    /// The query without what says where a page begins and how long it is: the filters.
    pub fn filters(&self) -> Vec<(&str, &str)> {
        let mut filters: Vec<_> = self
            .pairs
            .iter()
            .filter(|(name, _)| name != "limit" && name != "cursor")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        filters.sort_unstable();
        filters
    }
}

/// A parameter with a value that is not acceptable.
pub fn invalid(name: &str, detail: &str) -> Problem {
    Problem::parameter(&catalogue::INVALID_PARAMETER, name, detail)
}

/// What is wrong with a value, whatever its parameter means.
fn fault_of(value: &str) -> Option<&'static str> {
    if value.len() > VALUE_LIMIT {
        Some("The value is longer than 2 kB.")
    } else if value.contains('\0') {
        Some("The value contains the character NUL (%00), which no text here has.")
    } else if value.contains('\u{FFFD}') {
        Some("The value is not text in UTF-8.")
    } else {
        None
    }
}

fn read<T: FromStr>(name: &str, value: &str, expected: &str) -> Result<T, Problem> {
    value
        .parse()
        .or(Err(invalid(name, &format!("Expected {expected}."))))
}

fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(result: Result<T, Problem>) -> Option<&'static str> {
        result.err().map(|problem| problem.kind().code)
    }

    #[test]
    fn unknown_parameters_are_refused_with_the_ones_that_exist() {
        let problem = Query::parse("limit=1&limits=2", &["limit", "cursor"])
            .err()
            .unwrap();
        let body = problem.body("", String::new());
        assert_eq!(body.code, "unknownParameter");
        assert!(body.detail.contains("limit, cursor"));
        assert_eq!(
            body.errors.first().unwrap().parameter.as_deref(),
            Some("limits")
        );
    }

    #[test]
    fn a_repeated_parameter_is_refused_unless_it_is_a_list() {
        let query =
            Query::parse("status=a&status=b&search=x&search=y", &["status", "search"]).unwrap();
        assert_eq!(query.all("status").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(code(query.search()), Some("invalidParameter"));
    }

    #[test]
    fn values_that_are_no_text_are_refused() {
        for (text, said) in [
            ("search=%00", "NUL"),
            ("search=%ff", "UTF-8"),
            (&format!("search={}", "a".repeat(2_049)), "longer than 2 kB"),
        ] {
            let problem = Query::parse(text, &["search"]).err().unwrap();
            let body = problem.body("", String::new());
            assert_eq!(body.code, "invalidParameter", "{text}");
            assert!(body.detail.contains(said), "{}", body.detail);
        }
    }

    #[test]
    fn filters_are_the_same_in_any_order_and_without_the_page() {
        let allowed = &["limit", "cursor", "status", "search"];
        let one = Query::parse("limit=5&status=b&status=a&search=x", allowed).unwrap();
        let other = Query::parse("search=x&status=a&cursor=z&status=b", allowed).unwrap();
        assert_eq!(one.filters(), other.filters());
    }
}
