//! As much HTML as it takes to read a page, follow its links and submit its forms.

use super::markup::{Tag, Token, tokens};

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub text: String,
    pub href: String,
}

/// A form with what it would send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub action: String,
    pub post: bool,
    /// Names and values of fields, without buttons.
    pub fields: Vec<(String, String)>,
    pub buttons: Vec<Button>,
}

/// A button that submits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Button {
    pub text: String,
    pub name: Option<String>,
    pub value: String,
    /// Overrides the form's action.
    pub action: Option<String>,
}

/// What pressing a button sends.
pub(super) struct Submission {
    pub action: String,
    pub post: bool,
    pub encoded: String,
}

impl Form {
    pub(super) fn submission(&self, pressed: &Button, filled: &[(&str, &str)]) -> Submission {
        let mut fields = self.fields.clone();
        for (name, value) in filled {
            fields.retain(|(known, _)| known != name);
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        let own = pressed
            .name
            .clone()
            .map(|name| (name, pressed.value.clone()));
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(fields.into_iter().chain(own));
        Submission {
            action: pressed
                .action
                .clone()
                .unwrap_or_else(|| self.action.clone()),
            post: self.post,
            encoded: encoded.finish(),
        }
    }
}

/// The text of a page without tags, blanks collapsed.
pub(super) fn text(html: &str) -> String {
    let mut all = String::new();
    for token in tokens(html) {
        match token {
            Token::Text(text) => all.push_str(&text),
            // Tags separate words on the screen, most of them.
            Token::Open(_) | Token::Close(_) => all.push(' '),
        }
    }
    collapse(&all)
}

/// The links of a page.
pub(super) fn links(html: &str) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    let mut open = false;
    for token in tokens(html) {
        match token {
            Token::Open(tag) if tag.name == "a" => {
                let href = tag.get("href");
                open = href.is_some();
                links.extend(href.map(|href| Link {
                    text: String::new(),
                    href,
                }));
            }
            Token::Close(name) if name == "a" => open = false,
            Token::Text(text) if open => {
                if let Some(link) = links.last_mut() {
                    link.text = collapse(&format!("{} {text}", link.text));
                }
            }
            _ => {}
        }
    }
    links
}

/// The forms of a page.
pub(super) fn forms(html: &str) -> Vec<Form> {
    let mut reader = FormReader::default();
    for token in tokens(html) {
        match token {
            Token::Open(tag) => reader.open(&tag),
            Token::Close(name) => reader.close(&name),
            Token::Text(text) => reader.text(&text),
        }
    }
    reader.done.extend(reader.form);
    reader.done
}

/// Collects the forms of a document.
#[derive(Default)]
struct FormReader {
    done: Vec<Form>,
    form: Option<Form>,
    inside: Inside,
    /// Name, value and whether an option was marked.
    select: (String, Option<String>, bool),
}

/// What text belongs to.
#[derive(Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Nothing,
    Button,
    TextArea,
}

impl FormReader {
    fn open(&mut self, tag: &Tag) {
        if tag.name == "form" {
            let post = tag
                .get("method")
                .is_some_and(|method| method.eq_ignore_ascii_case("post"));
            let action = tag.get("action").unwrap_or_default();
            self.done.extend(self.form.replace(Form {
                action,
                post,
                ..Form::default()
            }));
            return;
        }
        let Some(form) = &mut self.form else {
            return;
        };
        if tag.has("disabled") {
            return;
        }
        match tag.name.as_str() {
            "button" if tag.get("type").is_none_or(|kind| kind == "submit") => {
                form.buttons.push(button(tag, String::new()));
                self.inside = Inside::Button;
            }
            "input" => input(form, tag),
            "textarea" => {
                form.fields
                    .extend(tag.get("name").map(|name| (name, String::new())));
                self.inside = Inside::TextArea;
            }
            "select" => self.select = (tag.get("name").unwrap_or_default(), None, false),
            "option" => {
                let (_, chosen, marked) = &mut self.select;
                if chosen.is_none() || (tag.has("selected") && !*marked) {
                    *chosen = tag.get("value");
                    *marked = tag.has("selected");
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "form" => self.done.extend(self.form.take()),
            "button" | "textarea" => self.inside = Inside::Nothing,
            "select" => {
                let (name, chosen, _) = std::mem::take(&mut self.select);
                if let Some(form) = &mut self.form {
                    form.fields.extend(chosen.map(|value| (name, value)));
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        let Some(form) = &mut self.form else {
            return;
        };
        match self.inside {
            Inside::Nothing => {}
            Inside::Button => {
                if let Some(button) = form.buttons.last_mut() {
                    button.text = collapse(&format!("{} {text}", button.text));
                }
            }
            Inside::TextArea => {
                if let Some((_, value)) = form.fields.last_mut() {
                    value.push_str(text);
                }
            }
        }
    }
}

fn button(tag: &Tag, text: String) -> Button {
    Button {
        text,
        name: tag.get("name"),
        value: tag.get("value").unwrap_or_default(),
        action: tag.get("formaction"),
    }
}

fn input(form: &mut Form, tag: &Tag) {
    let kind = tag.get("type").unwrap_or_default().to_lowercase();
    match kind.as_str() {
        "submit" => form
            .buttons
            .push(button(tag, tag.get("value").unwrap_or_default())),
        "button" | "reset" | "image" => {}
        "checkbox" | "radio" if !tag.has("checked") => {}
        _ => {
            let on = if kind == "checkbox" { "on" } else { "" };
            let value = tag.get("value").unwrap_or_else(|| on.to_owned());
            form.fields
                .extend(tag.get("name").map(|name| (name, value)));
        }
    }
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<!DOCTYPE html><html><head><title>T</title><style>a > b {}</style></head>
        <body><!-- <form> --><h1>Pick &amp; choose</h1><a class=x href="/a?b=1&amp;c=2">More <b>here</b></a>
        <form method="POST" action="/go?x=1&amp;y=2"><input type=hidden name=a value="1 &lt; 2">
        <input type="checkbox" name="off"><input type="checkbox" name="on" checked>
        <select name=s><option value=1>One<option value=2 selected>Two</select>
        <textarea name=t>long</textarea>
        <button name="act" value="yes">Yes,
           <em>please</em></button><input type=submit value=No><button type=button>Nothing</button></form>
        <script>if (a < b) { "</form>" }</script></body></html>"#;

    #[test]
    fn a_page_gives_its_links_and_forms() {
        let expected = Link {
            text: "More here".to_owned(),
            href: "/a?b=1&c=2".to_owned(),
        };
        assert_eq!(links(PAGE), [expected]);
        let forms = forms(PAGE);
        assert_eq!(forms.len(), 1);
        let form = &forms[0];
        let texts: Vec<&str> = form
            .buttons
            .iter()
            .map(|button| button.text.as_str())
            .collect();
        assert_eq!(texts, ["Yes, please", "No"]);
        let sent = form.submission(&form.buttons[0], &[("t", "new")]);
        assert!(sent.post);
        assert_eq!(sent.action, "/go?x=1&y=2");
        assert_eq!(sent.encoded, "a=1+%3C+2&on=on&s=2&t=new&act=yes");
    }

    #[test]
    fn text_is_what_a_person_reads() {
        assert_eq!(
            text("<p>1 &lt; 2 &#38; &#x33;</p><script>x</script> & so"),
            "1 < 2 & 3 & so"
        );
    }
}
