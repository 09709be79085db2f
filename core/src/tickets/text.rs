//! What a ticket says. It leaves this installation for a system with readers of its own: nothing about a
//! tenant but its name and domain, and nobody's name or address.

use serde_json::Value;

use super::trouble::TroubleKind;
use crate::tenants::Tenant;

/// The longest summary, in characters: what every PSA takes.
const SUMMARY_LIMIT: usize = 100;
/// How a refusal brings in Microsoft's own sentence, which may name people.
const QUOTE: &str = " Microsoft says: ";
/// Stands for a word that could be somebody's address.
const LEFT_OUT: &str = "[left out]";

/// One line: the trouble and the tenant.
pub(super) fn summary(trouble: TroubleKind, tenant: &Tenant) -> String {
    let (before, after) = match trouble {
        TroubleKind::ReauthorizationRequired => ("Microsoft 365: connect ", " again"),
        TroubleKind::ConnectionLost => ("Microsoft 365: the connection to ", " does not work"),
        TroubleKind::SyncFailing => ("Microsoft 365: no sync of ", " for over 24 hours"),
    };
    let room = SUMMARY_LIMIT - before.len() - after.len();
    format!("{before}{}{after}", shortened(&name(tenant), room))
}

/// What happened, who must act, and which tenant it is.
pub(super) fn description(trouble: TroubleKind, tenant: &Tenant) -> String {
    let happened = match trouble {
        TroubleKind::ReauthorizationRequired => {
            "Microsoft no longer lets Tenantry read this Microsoft 365 tenant. What was read before stays, but nothing new is read."
        }
        TroubleKind::ConnectionLost => {
            "The connection to this Microsoft 365 tenant does not work. What was read before stays, but nothing new is read."
        }
        TroubleKind::SyncFailing => {
            "No sync of this Microsoft 365 tenant has completed for over 24 hours. What was read before stays, but grows old."
        }
    };
    let fallback = match trouble {
        TroubleKind::ReauthorizationRequired => {
            "An administrator of the tenant opens a new connect link and accepts the permissions."
        }
        TroubleKind::ConnectionLost | TroubleKind::SyncFailing => {
            "A technician looks at the tenant's sync runs and starts a sync; if it fails again, its data sets say why."
        }
    };
    let reason = member(tenant, "detail");
    let action = member(tenant, "action").unwrap_or_else(|| fallback.to_owned());
    let code = member(tenant, "code");
    let domain = tenant.default_domain.as_deref().map(one_line);
    let lines = [
        Some(happened.to_owned()),
        reason.map(|reason| format!("Reason: {reason}")),
        Some(format!("What to do: {action}")),
        Some(String::new()),
        Some(match domain {
            Some(domain) if domain != name(tenant) => {
                format!("Tenant: {} ({domain})", name(tenant))
            }
            Some(_) | None => format!("Tenant: {}", name(tenant)),
        }),
        Some(format!("Tenant id: {}", tenant.id)),
        code.map(|code| format!("Code: {code}")),
        Some(String::new()),
        Some("Tenantry opened this ticket, and closes it when the trouble is over.".to_owned()),
    ];
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Why a ticket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The trouble is over.
    Solved,
    /// The tenant was disconnected.
    Revoked,
    /// The tenant has another trouble now, with a ticket of its own.
    OtherTrouble,
    /// The tenant belongs to another customer of this PSA.
    OtherCustomer,
    /// The tenant belongs to no active customer of this PSA.
    NoCustomer,
    /// Nobody wants to be told about this tenant.
    Muted,
}

/// The note that goes before the closing.
pub(super) fn note(trouble: TroubleKind, tenant_name: &str, ending: Ending) -> String {
    let name = shortened(&one_line(tenant_name), SUMMARY_LIMIT);
    match ending {
        Ending::Solved => match trouble {
            TroubleKind::ReauthorizationRequired => {
                format!("Solved: Microsoft lets Tenantry read {name} again.")
            }
            TroubleKind::ConnectionLost => {
                format!("Solved: the connection to {name} works again.")
            }
            TroubleKind::SyncFailing => format!("Solved: {name} is read again."),
        },
        Ending::Revoked => {
            format!("{name} was disconnected in Tenantry. There is nothing left to mend.")
        }
        Ending::OtherTrouble => {
            format!("{name} has another trouble now, which has a ticket of its own.")
        }
        Ending::OtherCustomer => {
            format!("{name} belongs to another customer now, who gets a ticket of its own.")
        }
        Ending::NoCustomer => {
            format!("{name} belongs to no active customer of this PSA any more.")
        }
        Ending::Muted => format!("Notifications about {name} were turned off in Tenantry."),
    }
}

/// A sentence of the tenant's connection error, without what could name people.
fn member(tenant: &Tenant, name: &str) -> Option<String> {
    let error = tenant.connection_error.as_ref()?;
    let text = error.get(name).and_then(Value::as_str)?;
    let own = text.split_once(QUOTE).map_or(text, |(own, _quoted)| own);
    let words = own
        .split_whitespace()
        .map(|word| if word.contains('@') { LEFT_OUT } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

fn name(tenant: &Tenant) -> String {
    one_line(&tenant.display_name)
}

fn one_line(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{
        ids::TenantId,
        tenants::{ConnectionType, TenantStatus},
    };

    fn tenant(name: &str, error: Option<Value>) -> Tenant {
        Tenant {
            id: TenantId::from_uuid(Uuid::from_u128(7)),
            customer: None,
            connection: None,
            connection_type: ConnectionType::AdminConsent,
            status: TenantStatus::ReauthorizationRequired,
            display_name: name.to_owned(),
            display_name_set: false,
            default_domain: Some("contoso.example".to_owned()),
            granted_permissions: Vec::new(),
            missing_permissions: Vec::new(),
            consented_by: None,
            connection_error: error,
            tags: vec!["gold".to_owned()],
            notifications: true,
            connected_at: None,
            last_completed_at: None,
            unread_since: None,
            revoked_at: None,
            upstream_revoked: false,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_summary_is_one_short_line_that_names_the_tenant() {
        for kind in TroubleKind::ALL {
            let short = summary(kind, &tenant("Contoso\r\nLtd", None));
            assert!(short.contains("Contoso Ltd"), "{short}");
            let long = summary(kind, &tenant(&"ü".repeat(200), None));
            assert_eq!(long.chars().count(), SUMMARY_LIMIT, "{long}");
        }
    }

    #[test]
    fn a_description_says_what_happened_and_who_must_act() {
        let error = json!({
            "code": "appDisabledInTenant",
            "detail": "The application is disabled in the tenant.",
            "action": "An administrator enables it in Entra.",
            "microsoft": {"traceId": "11111111-1111-1111-1111-111111111111"},
        });
        let text = description(
            TroubleKind::ReauthorizationRequired,
            &tenant("Contoso", Some(error)),
        );
        assert!(
            text.contains("Reason: The application is disabled in the tenant."),
            "{text}"
        );
        assert!(
            text.contains("What to do: An administrator enables it in Entra."),
            "{text}"
        );
        assert!(text.contains("Tenant: Contoso (contoso.example)"), "{text}");
        assert!(
            !text.contains("traceId") && !text.contains("gold"),
            "{text}"
        );
        for kind in TroubleKind::ALL {
            let without = description(kind, &tenant("Contoso", None));
            assert!(without.contains("What to do: "), "{without}");
            assert!(!without.contains("Reason: "), "{without}");
        }
    }

    #[test]
    fn p1_nobodys_name_or_address_leaves_with_a_ticket() {
        let error = json!({
            "code": "microsoftRefused",
            "detail": "Refused for anna@contoso.example. Microsoft says: user Anna Arndt is blocked",
            "action": "Ask bob@contoso.example now.",
        });
        let text = description(TroubleKind::ConnectionLost, &tenant("Contoso", Some(error)));
        assert!(
            !text.contains("anna") && !text.contains("Anna") && !text.contains("bob"),
            "{text}"
        );
        assert!(text.contains("Ask [left out] now."), "{text}");
    }

    #[test]
    fn every_ending_has_a_sentence_of_its_own() {
        let endings = [
            Ending::Solved,
            Ending::Revoked,
            Ending::OtherTrouble,
            Ending::OtherCustomer,
            Ending::NoCustomer,
            Ending::Muted,
        ];
        let notes: std::collections::HashSet<_> = endings
            .map(|ending| note(TroubleKind::SyncFailing, "Contoso", ending))
            .into_iter()
            .collect();
        assert_eq!(notes.len(), endings.len());
        assert!(
            notes
                .iter()
                .all(|note| note.contains("Contoso") && note.ends_with('.'))
        );
    }
}
