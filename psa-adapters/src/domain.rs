//! Domains as evidence: one spelling, and none that many share.

use url::Host;

use crate::contract::{Evidence, EvidenceKind};

/// Mail providers whose domains everybody may have an address in: they tell nothing about a customer. Those
/// that exist under many endings stand in [`SHARED_UNDER_ANY_ENDING`].
const SHARED: &[&str] = &[
    "aol.com",
    "att.net",
    "bellsouth.net",
    "bigpond.com",
    "bluewin.ch",
    "bt.com",
    "btconnect.com",
    "btinternet.com",
    "btopenworld.com",
    "charter.net",
    "comcast.net",
    "cox.net",
    "duck.com",
    "earthlink.net",
    "fastmail.com",
    "fastmail.fm",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "googlemail.com",
    "hey.com",
    "hushmail.com",
    "icloud.com",
    "laposte.net",
    "libero.it",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "ntlworld.com",
    "o2.co.uk",
    "orange.fr",
    "outlook.com",
    "passport.com",
    "pm.me",
    "posteo.de",
    "proton.me",
    "protonmail.ch",
    "protonmail.com",
    "qq.com",
    "rocketmail.com",
    "rogers.com",
    "sbcglobal.net",
    "sfr.fr",
    "shaw.ca",
    "sky.com",
    "sympatico.ca",
    "t-online.de",
    "talktalk.net",
    "telus.net",
    "tiscali.co.uk",
    "tuta.com",
    "tutanota.com",
    "verizon.net",
    "virgilio.it",
    "virgin.net",
    "virginmedia.com",
    "wanadoo.fr",
    "web.de",
    "windowslive.com",
    "xtra.co.nz",
    "yandex.com",
    "yandex.ru",
    "ymail.com",
    "163.com",
    "126.com",
];

/// Providers with a country's ending for each country: `hotmail.co.uk`, `yahoo.de`.
const SHARED_UNDER_ANY_ENDING: &[&str] = &["gmx", "hotmail", "live", "outlook", "yahoo"];

/// Hosts where firms have a page instead of a website of their own.
const SHARED_SITES: &[&str] = &[
    "business.site",
    "facebook.com",
    "github.io",
    "google.com",
    "instagram.com",
    "linkedin.com",
    "sharepoint.com",
    "twitter.com",
    "weebly.com",
    "wixsite.com",
    "wordpress.com",
    "x.com",
    "yelp.com",
    "youtube.com",
];

/// The ending of the names that Microsoft gives each tenant, in its clouds.
const INITIAL: &[&str] = &[
    ".onmicrosoft.com",
    ".onmicrosoft.us",
    ".partner.onmschina.cn",
    ".onmschina.cn",
];

/// Whether a domain in its one spelling belongs to a provider that everybody may use, or lies under one.
pub fn is_shared(domain: &str) -> bool {
    if SHARED
        .iter()
        .chain(SHARED_SITES)
        .any(|shared| is_or_is_under(domain, shared))
    {
        return true;
    }
    let first = domain.split('.').next().unwrap_or_default();
    // `live.co.uk` is a provider's; `live.contoso.com` is a firm's.
    let ending = domain.split('.').skip(1);
    SHARED_UNDER_ANY_ENDING.contains(&first)
        && domain.split('.').count() <= 3
        && ending.clone().all(|label| label.len() <= 3)
}

fn is_or_is_under(domain: &str, parent: &str) -> bool {
    domain
        .strip_suffix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A domain name in its one spelling: lower case, punycode, without a dot at the end. None for what is no
/// name of at least two labels, and for addresses.
pub fn normal(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let text = text.trim().trim_end_matches('.');
    let Ok(Host::Domain(domain)) = Host::parse(text) else {
        return None;
    };
    let is_name = domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
    is_name.then_some(domain)
}

/// Characters that people paste without seeing them: U+200E and its like (psa.md §A7).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}')
}

/// Evidence from a domain of this kind; none from a shared one. An initial domain is one whatever it was
/// found as.
pub fn evidence(kind: EvidenceKind, domain: &str) -> Option<Evidence> {
    let value = normal(domain)?;
    if let Some(initial) = initial(&value) {
        return Some(Evidence {
            kind: EvidenceKind::InitialDomain,
            value: initial,
        });
    }
    (!is_shared(&value)).then_some(Evidence { kind, value })
}

/// `contoso.mail.onmicrosoft.com` is an address of `contoso.onmicrosoft.com`.
fn initial(domain: &str) -> Option<String> {
    let ending = INITIAL.iter().find(|ending| domain.ends_with(**ending))?;
    let name = domain.strip_suffix(ending)?;
    let name = name.strip_suffix(".mail").unwrap_or(name);
    (!name.is_empty() && !name.contains('.')).then(|| format!("{name}{ending}"))
}

/// Evidence from a contact's mail address.
pub fn of_mail_address(address: &str) -> Option<Evidence> {
    let (_, domain) = address.trim().trim_end_matches('>').rsplit_once('@')?;
    evidence(EvidenceKind::MailDomain, domain)
}

/// Evidence from a website as people write it: with or without scheme, path and `www.`.
pub fn of_website(written: &str) -> Option<Evidence> {
    let written = written.trim();
    let rest = written.split_once("://").map_or(written, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ' ', ',', ';', '\\']).next()?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split(':').next()?;
    let host = host.to_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    evidence(EvidenceKind::Website, host)
}

/// Words in the name of a custom field that holds a Microsoft tenant's id.
const TENANT_WORDS: &[&str] = &[
    "tenant",
    "microsoft",
    "m365",
    "o365",
    "office365",
    "office 365",
    "azure",
    "entra",
];

/// Evidence from a custom field: an initial domain under any name, a GUID where the field's name speaks of
/// a tenant. Invisible characters and braces around it are taken off.
pub fn of_custom_field(name: &str, value: &str) -> Option<Evidence> {
    let visible: String = value.chars().filter(|c| !is_invisible(*c)).collect();
    let value = visible.trim().trim_matches(['{', '}']).to_lowercase();
    let name = name.to_lowercase();
    if TENANT_WORDS.iter().any(|word| name.contains(word)) && is_guid(&value) {
        return Some(Evidence {
            kind: EvidenceKind::TenantId,
            value,
        });
    }
    let host = value
        .rsplit_once('@')
        .map_or(value.as_str(), |(_, host)| host);
    normal(host)
        .and_then(|domain| initial(&domain))
        .map(|value| Evidence {
            kind: EvidenceKind::InitialDomain,
            value,
        })
}

/// Evidence from the PSA's own map of tenants: the tenant's id.
pub fn of_tenant_map(tenant_id: &str) -> Option<Evidence> {
    let value = tenant_id.trim().trim_matches(['{', '}']).to_lowercase();
    is_guid(&value).then_some(Evidence {
        kind: EvidenceKind::TenantMap,
        value,
    })
}

/// A GUID in its hyphenated lower-case form that is not all zeros.
fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && text
            .bytes()
            .all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && text.bytes().any(|b| b != b'-' && b != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(evidence: Option<Evidence>) -> Option<(EvidenceKind, String)> {
        evidence.map(|evidence| (evidence.kind, evidence.value))
    }

    #[test]
    fn shared_domains_are_no_evidence_and_their_likes_are() {
        for shared in [
            "gmail.com",
            "hotmail.co.uk",
            "yahoo.de",
            "live.com",
            "gmx.net",
            "outlook.com",
            "icloud.com",
            "t-online.de",
            "btinternet.com",
            "proton.me",
            "someone.wixsite.com",
            "facebook.com",
        ] {
            assert!(is_shared(shared), "{shared}");
        }
        for own in [
            "harbourdental.example",
            "gmail.harbour.example",
            "livewire.com",
            "notgmail.com",
            "live.contoso.com",
            "outlooks.com",
        ] {
            assert!(!is_shared(own), "{own}");
        }
    }

    #[test]
    fn websites_are_read_as_people_write_them() {
        for written in [
            "harbourdental.example",
            "www.HarbourDental.example",
            "http://harbourdental.example/about?x=1",
            " https://user@www.harbourdental.example:8443/ ",
            "harbourdental.example.",
            "harbourdental.example, second.example",
            "\u{200e}harbourdental.example",
        ] {
            assert_eq!(
                shown(of_website(written)),
                Some((EvidenceKind::Website, "harbourdental.example".to_owned())),
                "{written}"
            );
        }
        for nothing in [
            "",
            "n/a",
            "none",
            "http://",
            "192.168.1.1",
            "tbc",
            "https://facebook.com/harbour",
        ] {
            assert_eq!(of_website(nothing), None, "{nothing}");
        }
        assert_eq!(
            shown(of_website("bücher.example")),
            Some((EvidenceKind::Website, "xn--bcher-kva.example".to_owned()))
        );
    }

    #[test]
    fn an_initial_domain_is_one_wherever_it_stands() {
        let expected = Some((
            EvidenceKind::InitialDomain,
            "harbour.onmicrosoft.com".to_owned(),
        ));
        assert_eq!(
            shown(of_mail_address("admin@Harbour.onmicrosoft.com")),
            expected
        );
        assert_eq!(
            shown(of_mail_address("a@harbour.mail.onmicrosoft.com")),
            expected
        );
        assert_eq!(shown(of_website("harbour.onmicrosoft.com")), expected);
        assert_eq!(
            shown(of_custom_field("Notes", "harbour.onmicrosoft.com")),
            expected
        );
        assert_eq!(
            of_website("onmicrosoft.com").map(|e| e.kind),
            Some(EvidenceKind::Website)
        );
    }

    #[test]
    fn a_guid_counts_where_the_fields_name_speaks_of_a_tenant() {
        let id = "6F1B2C3D-0000-4000-8000-000000000012";
        let expected = Some((EvidenceKind::TenantId, id.to_lowercase()));
        assert_eq!(
            shown(of_custom_field(
                "M365 Tenant Id",
                &format!("\u{200e}{{{id}}} ")
            )),
            expected
        );
        assert_eq!(of_custom_field("Contract key", id), None);
        assert_eq!(
            of_custom_field("Tenant", "00000000-0000-0000-0000-000000000000"),
            None
        );
        assert_eq!(
            shown(of_tenant_map(id)).map(|(_, value)| value),
            Some(id.to_lowercase())
        );
    }
}
