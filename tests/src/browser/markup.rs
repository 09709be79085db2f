//! Cuts HTML into tags and texts.

/// A piece of a document.
#[derive(Debug)]
pub(super) enum Token {
    Open(Tag),
    Close(String),
    Text(String),
}

#[derive(Debug)]
pub(super) struct Tag {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Cuts a document into tags and texts. Comments, scripts and styles are left out.
pub(super) fn tokens(html: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            tokens.push(Token::Text(unescape(before)));
        }
        let after = &from[1..];
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
        } else if after.starts_with(['!', '?']) {
            rest = after.split_once('>').map_or("", |(_, rest)| rest);
        } else if let Some(closing) = after.strip_prefix('/') {
            let (name, left) = closing.split_once('>').unwrap_or((closing, ""));
            tokens.push(Token::Close(name.trim().to_lowercase()));
            rest = left;
        } else if after.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (tag, left) = read_tag(after);
            rest = match tag.name.as_str() {
                "script" | "style" => skip_raw(left, &tag.name),
                _ => left,
            };
            tokens.push(Token::Open(tag));
        } else {
            tokens.push(Token::Text("<".to_owned()));
            rest = after;
        }
    }
    tokens.push(Token::Text(unescape(rest)));
    tokens
}

/// The rest after the end tag of a script or style.
fn skip_raw<'a>(html: &'a str, name: &str) -> &'a str {
    let end = html.to_ascii_lowercase().find(&format!("</{name}"));
    let from = end.and_then(|at| html.get(at..)).unwrap_or_default();
    from.split_once('>').map_or("", |(_, rest)| rest)
}

/// A start tag from its name on, and what follows it.
fn read_tag(html: &str) -> (Tag, &str) {
    let name_end = html.find(|c: char| c.is_whitespace() || c == '>' || c == '/');
    let (name, mut rest) = html.split_at(name_end.unwrap_or(html.len()));
    let mut tag = Tag {
        name: name.to_lowercase(),
        attributes: Vec::new(),
    };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return (tag, "");
        }
        if let Some(left) = rest.strip_prefix('>') {
            return (tag, left);
        }
        let end = rest.find(|c: char| c.is_whitespace() || "=>/".contains(c));
        let (key, left) = rest.split_at(end.unwrap_or(rest.len()).max(1));
        let (value, left) = match left.trim_start().strip_prefix('=') {
            Some(value) => read_value(value.trim_start()),
            None => ("", left),
        };
        tag.attributes.push((key.to_lowercase(), unescape(value)));
        rest = left;
    }
}

fn read_value(html: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = html.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = html.find(|c: char| c.is_whitespace() || c == '>');
    html.split_at(end.unwrap_or(html.len()))
}

/// Resolves the character references that templates write.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let reference = from[1..]
            .split_once(';')
            .filter(|(name, _)| name.len() <= 8);
        match reference.and_then(|(name, left)| Some((character(name)?, left))) {
            Some((c, left)) => {
                plain.push(c);
                rest = left;
            }
            None => {
                plain.push('&');
                rest = &from[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}
