//! The tenants of the demo: what they are, how each is connected, and how its story ends.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tenantry_tests::{
    browser::Browser,
    fake_microsoft::{
        FakeMicrosoft, INITIAL_APP_ROLES,
        faults::{Fault, FaultRule},
        seed::TenantSeed,
        state::{Decision, Tenant},
    },
};

use super::api::{Api, text};

/// A tenant of the demo and how its story is expected to end.
pub struct Member {
    pub tenant: Arc<Tenant>,
    what: &'static str,
    pub belonging: Belonging,
    /// Final state of the run, and the one data set that differs from `completed`.
    pub ends: (&'static str, Option<(&'static str, &'static str)>),
    way: Way,
}

/// Whose a tenant is, and how that becomes known.
#[derive(Clone, Copy)]
pub enum Belonging {
    /// A customer's that is made for it by hand.
    ByHand,
    /// This customer's of a PSA: found while it is connected, so nobody names it.
    Found(&'static str),
    /// This customer's of a PSA: certain after the first sync, at least by these kinds of evidence.
    Matched(&'static str, &'static [&'static str]),
    /// Likely this customer's of a PSA, at least by these kinds of evidence: a person has to say.
    Likely(&'static str, &'static [&'static str]),
}

impl Belonging {
    /// Whether it is connected before anybody knows whose it is.
    pub const fn is_unsorted(self) -> bool {
        matches!(self, Self::Matched(..) | Self::Likely(..))
    }
}

impl Member {
    pub fn name(&self) -> &str {
        &self.tenant.display_name
    }
}

/// How a tenant comes to be connected.
enum Way {
    /// Its administrator accepts the application's permissions.
    AdminConsent,
    /// The same, but declines at first.
    DeclinesFirst,
    /// It is read as the administrator who signs in.
    Delegated,
    /// With an app registration of the customer's own: client id and secret.
    OwnApplication(&'static str, &'static str),
}

/// The seven tenants, with their applications and the faults of their story.
pub fn cast(microsoft: &FakeMicrosoft) -> Vec<Member> {
    let add = |seed: TenantSeed| microsoft.add_tenant(seed);
    let accept = Decision::Accept;
    let cast = vec![
        Member {
            tenant: add(TenantSeed::new("Contoso", "contoso.example")
                .users(20_000)
                .decision(accept.clone())),
            what: "20,000 users",
            belonging: Belonging::Matched("Contoso Ltd", &["mailDomain", "website", "name"]),
            ends: ("completed", None),
            way: Way::AdminConsent,
        },
        Member {
            tenant: add(TenantSeed::new("Fabrikam", "fabrikam.example")
                .users(120)
                .intune(false)
                .decision(accept.clone())),
            what: "without Intune",
            belonging: Belonging::Likely(
                "Fabrikam GmbH & Co. KG",
                &["website", "mailDomain", "name"],
            ),
            ends: ("completed", Some(("devices", "skipped"))),
            way: Way::AdminConsent,
        },
        Member {
            tenant: add(TenantSeed::new("Woodgrove", "woodgrove.example")
                .users(300)
                .decision(Decision::AcceptWithout(
                    ["SecurityEvents.Read.All".to_owned()].into(),
                ))),
            what: "one permission withheld",
            belonging: Belonging::Matched("Woodgrove Bank", &["initialDomain", "mailDomain"]),
            ends: ("completedWithWarnings", Some(("secureScores", "failed"))),
            way: Way::AdminConsent,
        },
        Member {
            tenant: add(TenantSeed::new("Tailspin", "tailspin.example")
                .users(2_500)
                .decision(accept)),
            what: "throttled by Microsoft",
            belonging: Belonging::Found("Tailspin Toys"),
            ends: ("completed", None),
            way: Way::AdminConsent,
        },
        Member {
            tenant: add(TenantSeed::new("Litware", "litware.example")
                .users(60)
                .decision(Decision::DeclineConsent)),
            what: "declined at first",
            belonging: Belonging::Matched("Litware, Inc.", &["mailDomain", "name"]),
            ends: ("completed", None),
            way: Way::DeclinesFirst,
        },
        Member {
            tenant: add(TenantSeed::new("Adatum", "adatum.example")
                .users(80)
                .decision(Decision::Accept)),
            what: "read as its administrator",
            belonging: Belonging::Found("A. Datum Corporation"),
            ends: ("completed", None),
            way: Way::Delegated,
        },
        Member {
            tenant: add(TenantSeed::new("Wingtip", "wingtip.example").users(45)),
            what: "with its own app registration, no browser",
            belonging: Belonging::ByHand,
            ends: ("completed", None),
            way: Way::OwnApplication(
                "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b",
                "demo~the-customers-own-secret",
            ),
        },
    ];
    for member in &cast {
        if let Way::OwnApplication(client_id, secret) = member.way {
            microsoft.register_tenant_app(&member.tenant, client_id, secret, &INITIAL_APP_ROLES);
        }
    }
    for (part, times) in [("/users?", 1), ("/groups/delta", 2)] {
        microsoft.cloud().faults.script(FaultRule {
            server: "graph",
            path_contains: part.to_owned(),
            tenant: Some(cast[3].tenant.id),
            skip: 1,
            times,
            fault: Fault::Status {
                status: 429,
                retry_after: Some("2".to_owned()),
                body: None,
            },
        });
    }
    cast
}

/// Connects the tenant as technician and administrator would, with a customer where one is named.
pub async fn connect(api: &Api, member: &Member, unsorted: &str) -> Result<()> {
    let tenant = &member.tenant;
    let (name, what) = (&tenant.display_name, member.what);
    let customer = match member.belonging {
        Belonging::ByHand => Some(api.create_customer(name).await?),
        Belonging::Found(_) => None,
        Belonging::Matched(..) | Belonging::Likely(..) => Some(unsorted.to_owned()),
    };
    let whose = match member.belonging {
        Belonging::Found(customer) => format!("; of {customer}, as its PSA says"),
        Belonging::ByHand | Belonging::Matched(..) | Belonging::Likely(..) => String::new(),
    };
    let domain = first_domain(tenant)?;
    let way = match member.way {
        Way::AdminConsent | Way::DeclinesFirst => json!({}),
        Way::Delegated => json!({"connectionType": "delegated"}),
        Way::OwnApplication(client_id, secret) => json!({
            "connectionType": "applicationCredentials",
            "credentials": {"clientId": client_id, "clientSecret": secret},
        }),
    };
    let started = api.connect_by(customer.as_deref(), domain, &way).await?;
    if started["authorizationUrl"].is_null() {
        ensure!(started["status"] == "connected", "{name}: {started}");
        println!("  {name:<10} connected ({what}{whose})");
        return Ok(());
    }
    let link = text(&started, "authorizationUrl")?;
    let mut page = Browser::new().open(&link).await;
    if matches!(member.way, Way::DeclinesFirst) {
        println!(
            "  {name:<10} the administrator declined: {}",
            reason(&page.text())
        );
        *tenant.decision.write().expect("decision") = Decision::Accept;
        page = Browser::new().open(&link).await;
        println!("  {name:<10} … opened the same link again");
    }
    let is_connected = page.status == 200 && page.text().contains("is connected to");
    ensure!(is_connected, "{name}: {} {}", page.url, page.text());
    println!("  {name:<10} connected ({what}{whose})");
    Ok(())
}

/// The domain by which people know it.
pub fn first_domain(tenant: &Tenant) -> Result<&str> {
    tenant
        .domains
        .first()
        .map(String::as_str)
        .context("a tenant without a domain")
}

/// What the page says happened and what to do: between what it did not change and the way back.
fn reason(page: &str) -> String {
    let words: Vec<&str> = page.split_whitespace().collect();
    let text = words.join(" ");
    let (_, after) = text
        .split_once("Nothing was stored.")
        .unwrap_or(("", &text));
    let (reason, _) = after.split_once("Try again").unwrap_or((after, ""));
    reason.trim().to_owned()
}
