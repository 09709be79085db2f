//! Names of firms in one spelling, so that `The Müller & Co. KG` and `Mueller` are one.

use std::{collections::HashMap, sync::LazyLock};

/// Base letters and the letters that are written with marks on them. Lower case only.
const LATIN: &[(&str, &str)] = &[
    ("a", "àáâãäåāăąǎǟǡǻȁȃȧạảấầẩẫậắằẳẵặª"),
    ("ae", "æǣǽ"),
    ("b", "ḃɓ"),
    ("c", "çćĉċč"),
    ("d", "ďđḋḍ"),
    ("dh", "ð"),
    ("e", "èéêëēĕėęěȅȇẹẻẽếềểễệə"),
    ("f", "ḟƒ"),
    ("ff", "ﬀ"),
    ("ffi", "ﬃ"),
    ("ffl", "ﬄ"),
    ("fi", "ﬁ"),
    ("fl", "ﬂ"),
    ("g", "ĝğġģǧǵ"),
    ("h", "ĥħḥ"),
    ("i", "ìíîïĩīĭįıǐȉȋỉị"),
    ("ij", "ĳ"),
    ("j", "ĵǰ"),
    ("k", "ķĸǩ"),
    ("l", "ĺļľŀłḷ"),
    ("m", "ṁṃ"),
    ("n", "ñńņňŉŋǹṅṇ"),
    ("o", "òóôõöøōŏőǒǫǭǿȍȏȫȭȯọỏốồổỗộơớờởỡợº"),
    ("oe", "œ"),
    ("p", "ṗṕ"),
    ("r", "ŕŗřȑȓṙṛ"),
    ("s", "śŝşšșſṡṣ"),
    ("ss", "ß"),
    ("st", "ﬆﬅ"),
    ("t", "ţťŧțṫṭ"),
    ("th", "þ"),
    ("u", "ùúûüũūŭůűųǔǖǘǚǜȕȗụủưứừửữự"),
    ("v", "ṽṿ"),
    ("w", "ŵẁẃẅ"),
    ("x", "ẋẍ"),
    ("y", "ýÿŷȳẏỳỵỷỹ"),
    ("z", "źżžẑẓ"),
    ("σ", "ς"),
];

/// Legal forms as they stand at the end of a name, without dots; more than one may.
const FORMS: &[&str] = &[
    // English-speaking countries
    "co",
    "company",
    "corp",
    "corporation",
    "inc",
    "incorporated",
    "limited",
    "llc",
    "llp",
    "lllp",
    "lp",
    "ltd",
    "pc",
    "pllc",
    "plc",
    "cic",
    "cyf",
    "ccc",
    "dac",
    "clg",
    "uc",
    "teoranta",
    "teo",
    "pty",
    "proprietary",
    "unlimited",
    "ulc",
    "ltee",
    "limitee",
    // Germany, Austria, Switzerland, Liechtenstein
    "ag",
    "ek",
    "eg",
    "ev",
    "gbr",
    "gesmbh",
    "ggmbh",
    "gmbh",
    "haftungsbeschrankt",
    "kg",
    "kgaa",
    "mbb",
    "mbh",
    "og",
    "ohg",
    "partg",
    "partgmbb",
    "se",
    "ug",
    // The Netherlands, Belgium, Luxembourg
    "bv",
    "bvba",
    "cvba",
    "nv",
    "sprl",
    "vof",
    // France, Italy, Spain, Portugal, Latin America
    "cv",
    "eirl",
    "eireli",
    "eurl",
    "lda",
    "limitada",
    "ltda",
    "sa",
    "sapa",
    "sarl",
    "sas",
    "sasu",
    "sau",
    "scarl",
    "sci",
    "scop",
    "scpa",
    "scrl",
    "selarl",
    "sl",
    "slu",
    "snc",
    "spa",
    "srl",
    "srls",
    "unipessoal",
    // Northern Europe and the Baltic countries
    "ab",
    "aktiebolag",
    "aktieselskab",
    "aps",
    "as",
    "asa",
    "ehf",
    "hf",
    "ivs",
    "kb",
    "ky",
    "osakeyhtio",
    "ou",
    "oy",
    "oyj",
    "sia",
    "tmi",
    "uab",
    // Central and eastern Europe, Turkey
    "ad",
    "bt",
    "dd",
    "doo",
    "eood",
    "kft",
    "nyrt",
    "ood",
    "ooo",
    "sro",
    "sti",
    "zoo",
    "zrt",
    "ао",
    "доо",
    "еоод",
    "ооо",
    "оод",
    // Asia, Africa, the Gulf
    "bhd",
    "fzco",
    "fze",
    "gk",
    "jsc",
    "kk",
    "pte",
    "pvt",
    "private",
    "sdn",
    "tbk",
    "wll",
    "株式会社",
    "有限会社",
    "合同会社",
    "有限公司",
    "股份有限公司",
    "주식회사",
];

/// Legal forms of several words, of which one alone would be no form.
const FORMS_OF_WORDS: &[&[&str]] = &[
    &["sp", "zoo"],
    &["spolka", "zoo"],
    &["sp", "k"],
    &["sp", "j"],
    &["spol", "sro"],
    &["sa", "de", "cv"],
    &["s", "de", "rl"],
    &["sab", "de", "cv"],
    &["sapi", "de", "cv"],
    &["s", "de", "rl", "de", "cv"],
];

/// What stands before a name and is none of it.
const BEFORE: &[&str] = &[
    "the", "ooo", "oao", "zao", "pao", "pt", "ооо", "оао", "зао", "пао", "тов",
];

/// Forms that are written without a blank.
const ATTACHED: &[&str] = &[
    "株式会社",
    "有限会社",
    "合同会社",
    "股份有限公司",
    "有限公司",
    "주식회사",
];

/// Words for "and".
const AND: &[&str] = &["and", "und", "et", "og", "och"];

static MARKED: LazyLock<HashMap<char, &'static str>> = LazyLock::new(|| {
    let pairs = LATIN
        .iter()
        .flat_map(|(base, marked)| marked.chars().map(move |letter| (letter, *base)));
    pairs.collect()
});

/// A firm's name without case, marks, punctuation, legal form, leading article and words for "and"; none
/// when nothing is left that could be compared.
///
/// `ae`, `oe` and `ue` are `a`, `o` and `u`: who has no umlauts on the keyboard writes them so.
pub fn folded(name: &str) -> Option<String> {
    let words = words(name);
    let mut kept: &[String] = &words;
    while let [first, rest @ ..] = kept
        && BEFORE.contains(&first.as_str())
        && !rest.is_empty()
    {
        kept = rest;
    }
    let kept = without_forms(kept);
    let parts: Vec<String> = kept
        .iter()
        .filter(|word| *word != "&")
        .map(|word| plain_umlauts(word))
        .collect();
    let folded = parts.join(" ");
    (!folded.is_empty()).then_some(folded)
}

/// The name's words in plain letters; every word for "and" is `&`.
fn words(name: &str) -> Vec<String> {
    let mut text = plain(&name.replace("&amp;", "&"));
    if !text.is_ascii() {
        for form in ATTACHED {
            text = text.replace(form, " ");
        }
    }
    let mut words: Vec<String> = Vec::new();
    // Letters with dots between them are one word: `S.p.A.`, `A/S`, `J. P.`.
    let mut letters = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if word.chars().count() == 1 && word.chars().all(char::is_alphabetic) {
            letters.push_str(word);
            continue;
        }
        if !letters.is_empty() {
            words.push(std::mem::take(&mut letters));
        }
        let is_and = AND.contains(&word);
        words.push(if is_and { "&" } else { word }.to_owned());
    }
    if !letters.is_empty() {
        words.push(letters);
    }
    words
}

/// Small letters without marks, with blanks in the place of everything that is neither letter nor digit.
fn plain(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars().map(narrow) {
        if character.is_ascii_alphanumeric() {
            // Most of all names, and there are many.
            text.push(character.to_ascii_lowercase());
            continue;
        }
        for small in character.to_lowercase() {
            match small {
                '&' | '+' => text.push_str(" & "),
                '\'' | '’' | '‘' | '`' | '´' | 'ʼ' => {}
                // Marks that stand after their letter, and what nobody sees.
                '\u{300}'..='\u{36f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2060}'
                | '\u{feff}'
                | '\u{ad}' => {}
                small => match MARKED.get(&small) {
                    Some(base) => text.push_str(base),
                    None if small.is_alphanumeric() => text.push(small),
                    None => text.push(' '),
                },
            }
        }
    }
    text
}

/// `Ａ` as `A`: the wide forms of Latin letters, digits and punctuation.
fn narrow(character: char) -> char {
    let wide = u32::from(character);
    match wide {
        0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap_or(character),
        _ => character,
    }
}

/// What stands before the legal forms; the whole name where nothing else would be left.
fn without_forms(words: &[String]) -> &[String] {
    let mut kept = words;
    loop {
        let shorter = match kept {
            [before @ .., last] if last == "&" => before,
            [before @ .., last] if FORMS.contains(&last.as_str()) => {
                longest_form(kept).unwrap_or(before)
            }
            _no_single_form => match longest_form(kept) {
                Some(before) => before,
                None => break,
            },
        };
        if shorter.iter().all(|word| word == "&") {
            break;
        }
        kept = shorter;
    }
    kept
}

fn longest_form(words: &[String]) -> Option<&[String]> {
    FORMS_OF_WORDS
        .iter()
        .filter_map(|form| {
            let (before, end) = words.split_at_checked(words.len().checked_sub(form.len())?)?;
            end.iter().eq(form.iter()).then_some(before)
        })
        .min_by_key(|before| before.len())
}

/// `mueller` as `muller`.
fn plain_umlauts(word: &str) -> String {
    word.replace("ae", "a")
        .replace("oe", "o")
        .replace("ue", "u")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_firm_are_one() {
        for (key, spellings) in [
            (
                "contoso",
                &[
                    "Contoso",
                    "CONTOSO LTD.",
                    "The Contoso Company",
                    "Contoso, Inc.",
                    "Contoso Limited",
                    "Contoso (Pty) Ltd",
                    "Contoso GmbH & Co. KG",
                    "contoso S.à r.l.",
                    "Contoso B.V.",
                    "Contoso S.p.A.",
                    "Contoso A/S",
                    "Contoso Oy Ab",
                    "Contoso Sp. z o.o.",
                    "Contoso spol. s r.o.",
                    "Contoso d.o.o.",
                    "Contoso S.A. de C.V.",
                    "Contoso S. de R.L. de C.V.",
                    "Contoso SAS",
                    "Contoso & Co",
                    "Contoso and Company",
                    "Contoso UG (haftungsbeschränkt)",
                    "Ｃｏｎｔｏｓｏ　Ｌｔｄ",
                    "Cont\u{200b}oso\u{ad}",
                    "株式会社Contoso",
                    "Contoso Sdn. Bhd.",
                    "Contoso Pte Ltd",
                    "ООО «Contoso»",
                    "Contoso™",
                    "PT Contoso Tbk",
                    "Contoso P.L.C.",
                ][..],
            ),
            (
                "muller sohne",
                &[
                    "Müller & Söhne",
                    "Mueller und Soehne",
                    "MU\u{308}LLER + SOHNE",
                    "Muller et Sohne",
                ][..],
            ),
            (
                "obriens bakery",
                &[
                    "O'Brien's Bakery",
                    "O’Briens Bakery Ltd",
                    "obriens - bakery",
                ],
            ),
            ("jp morgan", &["J.P. Morgan", "J P Morgan", "JP Morgan Inc"]),
            ("strasse", &["Straße", "STRASSE"]),
            ("lodz", &["Łódź", "LODZ Sp. z o.o."]),
            ("istanbul", &["İstanbul A.Ş.", "Istanbul", "ıstanbul"]),
            ("fine", &["ﬁne", "fine LLC"]),
            ("εταιροσ", &["ΕΤΑΙΡΟΣ", "εταιρος"]),
        ] {
            for spelling in spellings {
                assert_eq!(folded(spelling).as_deref(), Some(key), "{spelling}");
            }
        }
    }

    #[test]
    fn other_firms_stay_other_firms() {
        for (one, other) in [
            ("Contoso", "Contoso Dental"),
            ("Contoso North", "Contoso South"),
            ("Smith Ltd", "Smyth Ltd"),
            ("Alpha 1", "Alpha 2"),
            ("Ab Initio", "Initio"),
            ("Theatre Co", "Atre Co"),
        ] {
            assert_ne!(folded(one), folded(other), "{one} {other}");
        }
    }

    #[test]
    fn a_name_that_is_nothing_but_a_form_stays_and_no_name_is_none() {
        assert_eq!(folded("SAS").as_deref(), Some("sas"));
        assert_eq!(folded("The Company").as_deref(), Some("company"));
        assert_eq!(folded("The").as_deref(), Some("the"));
        assert_eq!(folded("& Co").as_deref(), Some("co"));
        for nothing in ["", "  ", "-", "&", "...", "\u{200b}"] {
            assert_eq!(folded(nothing), None, "{nothing:?}");
        }
    }
}
