//! The mini-language of `conditions`, `childConditions` and `customFieldConditions` (psa.md §A3).

use std::cmp::Ordering;

use crate::fake_psa::cell::{Cell, Kind, moment};

/// A condition.
#[derive(Debug)]
pub struct Condition {
    root: Node,
}

#[derive(Debug)]
enum Node {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Test {
        field: String,
        test: Test,
        values: Vec<Literal>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Equal,
    NotEqual,
    Below,
    AtMost,
    Above,
    AtLeast,
    Contains,
    Like,
    In,
}

type Literal = Cell<'static>;

impl Condition {
    /// Reads a condition over fields of these kinds; the error says what is wrong with it.
    pub fn parse(text: &str, kind_of: &dyn Fn(&str) -> Option<Kind>) -> Result<Self, String> {
        let mut parser = Parser {
            tokens: tokenize(text)?,
            at: 0,
            kind_of,
        };
        let root = parser.any()?;
        match parser.tokens.get(parser.at) {
            None => Ok(Self { root }),
            Some(token) => Err(format!("Unexpected {token:?} in the condition.")),
        }
    }

    /// Whether a record passes. A field of an array has several values, of which one must pass.
    pub fn passes<'a>(&self, get: &dyn Fn(&str) -> Vec<Cell<'a>>) -> bool {
        self.root.passes(get)
    }
}

impl Node {
    fn passes<'a>(&self, get: &dyn Fn(&str) -> Vec<Cell<'a>>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.passes(get)),
            Self::Any(nodes) => nodes.iter().any(|node| node.passes(get)),
            Self::Not(node) => !node.passes(get),
            Self::Test {
                field,
                test,
                values,
            } => get(field).iter().any(|cell| holds(cell, *test, values)),
        }
    }
}

fn holds(cell: &Cell<'_>, test: Test, values: &[Literal]) -> bool {
    let Some(value) = values.first() else {
        return false;
    };
    if *value == Cell::Null {
        return (*cell == Cell::Null) == (test == Test::Equal);
    }
    match test {
        Test::In => values
            .iter()
            .any(|value| cell.compare(value) == Some(Ordering::Equal)),
        Test::Contains => cell.lower().contains(&value.lower()),
        Test::Like => like(&cell.lower(), &value.lower()),
        Test::Equal => cell.compare(value) == Some(Ordering::Equal),
        // A null is neither equal nor another value.
        Test::NotEqual => cell
            .compare(value)
            .is_some_and(|order| order != Ordering::Equal),
        Test::Below => cell.compare(value) == Some(Ordering::Less),
        Test::Above => cell.compare(value) == Some(Ordering::Greater),
        Test::AtMost => cell
            .compare(value)
            .is_some_and(|order| order != Ordering::Greater),
        Test::AtLeast => cell
            .compare(value)
            .is_some_and(|order| order != Ordering::Less),
    }
}

/// Wildcards `%` and `*` stand for anything.
fn like(text: &str, pattern: &str) -> bool {
    let parts: Vec<&str> = pattern.split(['%', '*']).collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return false;
    };
    if parts.len() == 1 {
        return text == *first;
    }
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    for part in &parts[1..parts.len() - 1] {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Moment(String),
    Operator(Test),
    Open,
    Close,
    Comma,
}

fn tokenize(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            ' ' | '\t' | '\r' | '\n' => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '=' => tokens.push(Token::Operator(Test::Equal)),
            '!' if rest.next_if_eq(&'=').is_some() => tokens.push(Token::Operator(Test::NotEqual)),
            '<' | '>' => {
                let with_equal = rest.next_if_eq(&'=').is_some();
                tokens.push(Token::Operator(match (next, with_equal) {
                    ('<', false) => Test::Below,
                    ('<', true) => Test::AtMost,
                    (_, false) => Test::Above,
                    (_, true) => Test::AtLeast,
                }));
            }
            '"' | '[' => {
                let end = if next == '"' { '"' } else { ']' };
                let mut literal = String::new();
                loop {
                    match rest.next() {
                        Some(character) if character == end => break,
                        Some(character) => literal.push(character),
                        None => return Err("The value is not closed.".to_owned()),
                    }
                }
                tokens.push(if next == '"' {
                    Token::Text(literal)
                } else {
                    Token::Moment(literal)
                });
            }
            _ if next.is_alphanumeric() || "_-/.".contains(next) => {
                let mut word = next.to_string();
                while let Some(more) =
                    rest.next_if(|more| more.is_alphanumeric() || "_-/.".contains(*more))
                {
                    word.push(more);
                }
                tokens.push(Token::Word(word));
            }
            _ => return Err(format!("Unexpected character '{next}' in the condition.")),
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    kind_of: &'a dyn Fn(&str) -> Option<Kind>,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.all()?];
        while self.take_word("or") {
            nodes.push(self.all()?);
        }
        Ok(Node::Any(nodes))
    }

    fn all(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.one()?];
        while self.take_word("and") {
            nodes.push(self.one()?);
        }
        Ok(Node::All(nodes))
    }

    fn one(&mut self) -> Result<Node, String> {
        if self.take_word("not") {
            return Ok(Node::Not(Box::new(self.one()?)));
        }
        match self.next()? {
            Token::Open => {
                let inner = self.any()?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Token::Word(field) => self.test(field),
            other => Err(format!("A field is expected, not {other:?}.")),
        }
    }

    fn test(&mut self, field: String) -> Result<Node, String> {
        let kind = (self.kind_of)(&field)
            .ok_or_else(|| format!("The field '{field}' is not valid in this condition."))?;
        let negated = self.take_word("not");
        let test = match self.next()? {
            Token::Operator(test) if !negated => test,
            Token::Word(word) if word.eq_ignore_ascii_case("contains") => Test::Contains,
            Token::Word(word) if word.eq_ignore_ascii_case("like") => Test::Like,
            Token::Word(word) if word.eq_ignore_ascii_case("in") => Test::In,
            other => return Err(format!("{other:?} is no operator.")),
        };
        let needs_text = matches!(test, Test::Contains | Test::Like);
        if needs_text && kind != Kind::Text {
            return Err(format!("'{field}' is no text."));
        }
        let mut values = Vec::new();
        if test == Test::In {
            self.expect(&Token::Open)?;
            loop {
                values.push(self.value(&field, kind)?);
                match self.next()? {
                    Token::Comma => {}
                    Token::Close => break,
                    other => return Err(format!("{other:?} in a list of values.")),
                }
            }
        } else {
            values.push(self.value(&field, kind)?);
        }
        let is_null = values.contains(&Cell::Null);
        if is_null && !matches!(test, Test::Equal | Test::NotEqual) {
            return Err("null can only be equal or not.".to_owned());
        }
        let test = Node::Test {
            field,
            test,
            values,
        };
        Ok(if negated {
            Node::Not(Box::new(test))
        } else {
            test
        })
    }

    fn value(&mut self, field: &str, kind: Kind) -> Result<Literal, String> {
        let token = self.next()?;
        let wrong = || format!("The value of '{field}' is no {kind:?}.");
        match (token, kind) {
            (Token::Word(word), _) if word.eq_ignore_ascii_case("null") => Ok(Cell::Null),
            (Token::Text(text), Kind::Text) => Ok(Cell::Text(text.into())),
            (Token::Word(word), Kind::Int) => word.parse().map(Cell::Int).map_err(|_| wrong()),
            (Token::Word(word), Kind::Flag) => match word.to_lowercase().as_str() {
                "true" => Ok(Cell::Flag(true)),
                "false" => Ok(Cell::Flag(false)),
                _ => Err(wrong()),
            },
            // An offset breaks: it must be Z, or a day.
            (Token::Moment(text), Kind::Time) if text.ends_with('Z') || text.len() == 10 => {
                moment(&text).map(Cell::Time).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }

    fn next(&mut self) -> Result<Token, String> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token.ok_or_else(|| "The condition ends too early.".to_owned())
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), String> {
        let found = self.next()?;
        if found == *wanted {
            Ok(())
        } else {
            Err(format!("{wanted:?} is expected, not {found:?}."))
        }
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let there = matches!(self.tokens.get(self.at),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(there);
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(field: &str) -> Option<Kind> {
        match field {
            "id" | "company/id" => Some(Kind::Int),
            "name" | "status/name" => Some(Kind::Text),
            "deletedFlag" => Some(Kind::Flag),
            "lastUpdated" => Some(Kind::Time),
            _ => None,
        }
    }

    fn passes(condition: &str) -> bool {
        let get = |field: &str| {
            vec![match field {
                "id" => Cell::Int(250),
                "name" => Cell::Text("Harbour Dental".into()),
                "deletedFlag" => Cell::Flag(false),
                "lastUpdated" => Cell::Time(moment("2026-06-01T00:00:00Z").unwrap()),
                _ => Cell::Null,
            }]
        };
        Condition::parse(condition, &kind_of).unwrap().passes(&get)
    }

    #[test]
    fn conditions_are_read_as_the_guide_writes_them() {
        for holding in [
            "deletedFlag=false and id in (1, 250)",
            "lastUpdated>[2026-05-31T23:59:59Z]",
            "lastUpdated >= [2026-06-01T00:00:00Z]",
            "name = \"harbour dental\" AND not (id=1 or id = 2)",
            "name contains \"bour\" and name like \"harb%tal\" and name like \"*dental\"",
            "status/name = null",
            "id not in (1,2)",
            "id=1 or id=2 or id>=250",
        ] {
            assert!(passes(holding), "{holding}");
        }
        for failing in [
            "id!=250",
            "name=null",
            "name like \"dental%\"",
            "status/name!=\"Active\"",
        ] {
            assert!(!passes(failing), "{failing}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for bad in [
            "",
            "id=",
            "id=\"250\"",
            "name=250",
            "unknown=1",
            "name=\"open",
            "lastUpdated>[2026-06-01T00:00:00 00:00]",
            "lastUpdated>[2026-06-01T00:00:00+00:00]",
            "lastUpdated>\"2026-06-01\"",
            "deletedFlag=0",
            "id in ()",
            "id=1 garbage",
            "(id=1",
        ] {
            assert!(Condition::parse(bad, &kind_of).is_err(), "{bad}");
        }
    }
}
