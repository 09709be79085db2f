//! The known name that a mistyped one was meant to be.

/// The candidate that needs the fewest edits, when it needs few for its length.
pub fn nearest<'a>(mistyped: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let tolerated = (mistyped.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (edits(mistyped, candidate), candidate))
        .filter(|(edits, _)| *edits <= tolerated)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many characters must be added, removed or replaced to make one text the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    // The distance from the part of `from` seen so far to each beginning of `to`.
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (seen, own) in from.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = seen + 1;
        next.push(left);
        for (other, pair) in to.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(own != *other)).min(above.min(left) + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_as_by_hand() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
            ("kitten", "sitting", 3),
            ("PUBLIC_ULR", "PUBLIC_URL", 2),
        ] {
            assert_eq!(edits(from, to), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_typing_error_finds_its_name_and_nonsense_finds_none() {
        let known = ["listen", "public_url", "master_key", "log", "log_format"];
        let found = |name| nearest(name, known.into_iter());
        assert_eq!(found("lissten"), Some("listen"));
        assert_eq!(found("public_ulr"), Some("public_url"));
        assert_eq!(found("logformat"), Some("log_format"));
        assert_eq!(found("frobnicate"), None);
        assert_eq!(found("x"), None);
    }
}
