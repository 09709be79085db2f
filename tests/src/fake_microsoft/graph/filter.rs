//! Reads `$filter` as far as directory lists need it, and says which objects pass.

use crate::fake_microsoft::directory::entity::{Entity, Schema};

/// Most alternatives joined by `or`.
const MAX_ALTERNATIVES: usize = 15;

/// Properties of users and groups that can be filtered on.
const FILTERABLE: [&str; 15] = [
    "id",
    "displayName",
    "userPrincipalName",
    "mail",
    "givenName",
    "surname",
    "accountEnabled",
    "userType",
    "department",
    "jobTitle",
    "usageLocation",
    "mailNickname",
    "securityEnabled",
    "mailEnabled",
    "createdDateTime",
];

/// Properties that `startsWith` works on; `id` is not one of them.
const PREFIXED: [&str; 9] = [
    "displayName",
    "userPrincipalName",
    "mail",
    "givenName",
    "surname",
    "department",
    "jobTitle",
    "usageLocation",
    "mailNickname",
];

/// A filter.
pub struct Filter {
    root: Node,
    /// It needs `ConsistencyLevel: eventual` and `$count=true`.
    pub advanced: bool,
}

enum Node {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Test {
        column: usize,
        test: Test,
        value: Literal,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Test {
    StartsWith,
    EndsWith,
    Equal,
    NotEqual,
    AtLeast,
    AtMost,
    Above,
    Below,
}

#[derive(PartialEq, Eq)]
enum Literal {
    /// In lower case: the directory compares without regard to case.
    Text(String),
    Flag(bool),
    Null,
}

impl Filter {
    /// Reads a filter; the error is Graph's message.
    pub fn parse(text: &str, schema: &'static Schema) -> Result<Self, String> {
        let tokens = tokenize(text)?;
        let mut parser = Parser {
            tokens,
            at: 0,
            schema,
            advanced: false,
        };
        let root = parser.any()?;
        if parser.at < parser.tokens.len() {
            return Err(invalid());
        }
        let advanced = parser.advanced;
        Ok(Self { root, advanced })
    }

    /// Whether an object passes.
    pub fn passes(&self, entity: &Entity) -> bool {
        self.root.passes(entity)
    }
}

impl Node {
    fn passes(&self, entity: &Entity) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.passes(entity)),
            Self::Any(nodes) => nodes.iter().any(|node| node.passes(entity)),
            Self::Not(node) => !node.passes(entity),
            Self::Test {
                column,
                test,
                value,
            } => compare(entity.get(*column).unwrap_or("null"), *test, value),
        }
    }
}

fn compare(json: &str, test: Test, value: &Literal) -> bool {
    let wanted = match value {
        Literal::Null => return (json == "null") == (test == Test::Equal),
        Literal::Flag(flag) => {
            let same = json == if *flag { "true" } else { "false" };
            return same == (test == Test::Equal);
        }
        Literal::Text(wanted) => wanted.as_str(),
    };
    if json == "null" {
        return test == Test::NotEqual;
    }
    let inner = json.trim_matches('"');
    let decoded: String;
    let actual = if inner.contains('\\') {
        decoded = serde_json::from_str(json).unwrap_or_default();
        decoded.as_str()
    } else {
        inner
    };
    match test {
        Test::StartsWith => starts_with(actual, wanted),
        Test::EndsWith => actual.to_lowercase().ends_with(wanted),
        Test::Equal => actual.to_lowercase() == wanted,
        Test::NotEqual => actual.to_lowercase() != wanted,
        Test::AtLeast => actual.to_lowercase().as_str() >= wanted,
        Test::AtMost => actual.to_lowercase().as_str() <= wanted,
        Test::Above => actual.to_lowercase().as_str() > wanted,
        Test::Below => actual.to_lowercase().as_str() < wanted,
    }
}

/// Without allocating: shards run this over whole directories.
fn starts_with(text: &str, prefix: &str) -> bool {
    match (text.get(..prefix.len()), prefix.is_ascii()) {
        (Some(head), true) if head.is_ascii() => head.eq_ignore_ascii_case(prefix),
        _ => text.to_lowercase().starts_with(prefix),
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Comma,
}

fn tokenize(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            ' ' => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let mut literal = String::new();
                loop {
                    match rest.next() {
                        // Two quotes stand for one.
                        Some('\'') if rest.peek() == Some(&'\'') => {
                            rest.next();
                            literal.push('\'');
                        }
                        Some('\'') => break,
                        Some(character) => literal.push(character),
                        None => return Err(invalid()),
                    }
                }
                tokens.push(Token::Text(literal));
            }
            _ => {
                let mut word = next.to_string();
                while let Some(more) = rest.next_if(|more| !" (),'".contains(*more)) {
                    word.push(more);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

fn invalid() -> String {
    "Invalid filter clause: the expression could not be parsed.".to_owned()
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    schema: &'static Schema,
    advanced: bool,
}

impl Parser {
    fn any(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.all()?];
        while self.take_word("or") {
            nodes.push(self.all()?);
        }
        if nodes.len() > MAX_ALTERNATIVES {
            return Err(format!(
                "Too many child clauses specified in search filter expression containing 'OR' \
                 operators: {}. Max allowed: {MAX_ALTERNATIVES}.",
                nodes.len()
            ));
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::Any(nodes)
        })
    }

    fn all(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.one()?];
        while self.take_word("and") {
            nodes.push(self.one()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::All(nodes)
        })
    }

    fn one(&mut self) -> Result<Node, String> {
        if self.take_word("not") {
            self.advanced = true;
            return Ok(Node::Not(Box::new(self.one()?)));
        }
        match self.next()? {
            Token::Open => {
                let inner = self.any()?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Token::Word(word) if word.eq_ignore_ascii_case("startswith") => {
                self.function(Test::StartsWith)
            }
            Token::Word(word) if word.eq_ignore_ascii_case("endswith") => {
                self.advanced = true;
                self.function(Test::EndsWith)
            }
            Token::Word(property) => self.comparison(&property),
            Token::Text(_) | Token::Close | Token::Comma => Err(invalid()),
        }
    }

    fn function(&mut self, test: Test) -> Result<Node, String> {
        self.expect(&Token::Open)?;
        let Token::Word(property) = self.next()? else {
            return Err(invalid());
        };
        if !PREFIXED.contains(&property.as_str()) {
            return Err(self.unsupported(&property));
        }
        let column = self.column(&property)?;
        self.expect(&Token::Comma)?;
        let value = match self.next()? {
            Token::Text(text) => Literal::Text(text.to_lowercase()),
            _ => return Err(invalid()),
        };
        self.expect(&Token::Close)?;
        Ok(Node::Test {
            column,
            test,
            value,
        })
    }

    fn comparison(&mut self, property: &str) -> Result<Node, String> {
        let column = self.column(property)?;
        let Token::Word(operator) = self.next()? else {
            return Err(invalid());
        };
        if operator == "in" {
            return self.one_of(column);
        }
        let test = match operator.as_str() {
            "eq" => Test::Equal,
            "ne" => Test::NotEqual,
            "ge" => Test::AtLeast,
            "le" => Test::AtMost,
            "gt" => Test::Above,
            "lt" => Test::Below,
            _ => return Err(invalid()),
        };
        let value = match self.next()? {
            Token::Text(text) => Literal::Text(text.to_lowercase()),
            Token::Word(word) => match word.as_str() {
                "true" => Literal::Flag(true),
                "false" => Literal::Flag(false),
                "null" => Literal::Null,
                _ if property == "createdDateTime" => Literal::Text(word.to_lowercase()),
                _ => return Err(invalid()),
            },
            Token::Open | Token::Close | Token::Comma => return Err(invalid()),
        };
        let ordered = !matches!(test, Test::Equal | Test::NotEqual);
        if ordered && !matches!(value, Literal::Text(_)) {
            return Err(invalid());
        }
        self.advanced |= test == Test::NotEqual || value == Literal::Null;
        Ok(Node::Test {
            column,
            test,
            value,
        })
    }

    fn one_of(&mut self, column: usize) -> Result<Node, String> {
        self.expect(&Token::Open)?;
        let mut nodes = Vec::new();
        loop {
            let Token::Text(text) = self.next()? else {
                return Err(invalid());
            };
            let value = Literal::Text(text.to_lowercase());
            nodes.push(Node::Test {
                column,
                test: Test::Equal,
                value,
            });
            match self.next()? {
                Token::Comma => {}
                Token::Close if nodes.len() <= MAX_ALTERNATIVES => return Ok(Node::Any(nodes)),
                _ => return Err(invalid()),
            }
        }
    }

    fn column(&self, property: &str) -> Result<usize, String> {
        if !FILTERABLE.contains(&property) {
            return Err(self.unsupported(property));
        }
        let column = self.schema.column(property);
        column.ok_or_else(|| self.unsupported(property))
    }

    fn unsupported(&self, property: &str) -> String {
        format!(
            "Unsupported or invalid query filter clause specified for property '{property}' of \
             resource '{}'.",
            self.schema.type_name
        )
    }

    fn next(&mut self) -> Result<Token, String> {
        let token = self.tokens.get(self.at).cloned().ok_or_else(invalid)?;
        self.at += 1;
        Ok(token)
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), String> {
        if self.next()? == *wanted {
            Ok(())
        } else {
            Err(invalid())
        }
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let there = matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word == wanted);
        self.at += usize::from(there);
        there
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fake_microsoft::directory::schemas::USER;

    fn passes(filter: &str, name: &str) -> bool {
        let mut user = Entity::empty(&USER);
        user.assign(&USER, &json!({"displayName": name, "accountEnabled": true}));
        Filter::parse(filter, &USER).unwrap().passes(&user)
    }

    #[test]
    fn prefixes_ignore_case_and_not_catches_the_rest() {
        assert!(passes("startsWith(displayName,'an')", "Anna"));
        assert!(passes(
            "startswith(displayName, 'é') or startsWith(displayName,'x')",
            "Émile"
        ));
        assert!(!passes(
            "not(startsWith(displayName,'a') or startsWith(displayName,'b'))",
            "Bo"
        ));
        assert!(passes(
            "not startsWith(displayName,'a') and not startsWith(displayName,'b')",
            "~"
        ));
        assert!(passes(
            "displayName eq 'o''brien' and accountEnabled eq true",
            "O'Brien"
        ));
        assert!(passes("mail eq null", "no mail"));
    }

    #[test]
    fn what_the_service_does_not_offer_is_refused() {
        let refused = |filter: &str| Filter::parse(filter, &USER).is_err();
        assert!(refused("startsWith(id,'a')"));
        assert!(refused("assignedLicenses eq 'x'"));
        assert!(refused("displayName eq 'a' garbage"));
        assert!(refused("startsWith(displayName,'a"));
        let many: Vec<String> = (0..16).map(|n| format!("id eq '{n}'")).collect();
        assert!(refused(&many.join(" or ")));
    }

    #[test]
    fn not_ne_and_ends_with_are_advanced() {
        let advanced = |filter: &str| Filter::parse(filter, &USER).unwrap().advanced;
        assert!(advanced("not startsWith(displayName,'a')"));
        assert!(advanced("userType ne 'Guest'"));
        assert!(advanced("endsWith(mail,'x')"));
        assert!(!advanced("startsWith(displayName,'a')"));
    }
}
