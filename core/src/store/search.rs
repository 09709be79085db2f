//! Searching a text column that is kept in lower case.

/// The LIKE pattern that finds the text anywhere, with `\` as its escape: what LIKE reads as a
/// wildcard is only a character here.
pub(crate) fn containing(search: &str) -> String {
    let mut pattern = String::from("%");
    for character in search.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_only_characters() {
        assert_eq!(containing("100%_\\Ä"), "%100\\%\\_\\\\ä%");
    }
}
