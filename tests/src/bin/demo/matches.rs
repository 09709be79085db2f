//! Which customers the tenants belong to: what is proposed, what is confirmed, and what is left to a
//! person.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    api::{Api, text},
    cast::{Belonging, Member},
};

/// The customer of tenants that were connected before anybody knew whose they are.
pub const UNSORTED: &str = "Not sorted yet";

/// Takes tenants from the customer for unsorted ones, looks at their matches and confirms the certain
/// ones. The tenants that are left to a person, with the customer that each is likely to be of.
pub async fn confirm(api: &Api, cast: &[Member], unsorted: &str) -> Result<Vec<(String, String)>> {
    for member in cast.iter().filter(|member| member.belonging.is_unsorted()) {
        let path = format!("/tenants/{}", member.tenant.id);
        api.patch(&path, &json!({"customerId": null})).await?;
    }
    let path = format!("/customers/{unsorted}");
    api.patch(&path, &json!({"active": false})).await?;

    let matches = api.list("/customer-matches").await?;
    let (mut certain, mut left) = (Vec::new(), Vec::new());
    for member in cast {
        let (customer, kinds, is_certain) = match member.belonging {
            Belonging::ByHand | Belonging::Found(_) => continue,
            Belonging::Matched(customer, kinds) => (customer, kinds, true),
            Belonging::Likely(customer, kinds) => (customer, kinds, false),
        };
        let tenant = member.tenant.id.to_string();
        let proposed = matches
            .iter()
            .find(|proposed| proposed["tenantId"] == *tenant)
            .with_context(|| format!("{} is not among the matches", member.name()))?;
        let first = &proposed["candidates"][0];
        println!("  {:<10} {}", member.name(), told(first));
        let found: Vec<&str> = evidence(first)
            .filter_map(|evidence| evidence["kind"].as_str())
            .collect();
        let is_expected = first["name"] == customer
            && first["certain"] == is_certain
            && kinds.iter().all(|kind| found.contains(kind));
        ensure!(
            is_expected,
            "{}: expected {customer}: {proposed:#}",
            member.name()
        );
        let pair = (tenant, text(first, "customerId")?);
        if is_certain {
            certain.push(pair);
        } else {
            left.push(pair);
        }
    }
    let wishes: Vec<Value> = certain
        .iter()
        .map(|(tenant, customer)| json!({"tenantId": tenant, "customerId": customer}))
        .collect();
    let answer = api
        .post("/customer-matches/confirm", &json!({"matches": wishes}))
        .await?;
    let results = answer["results"].as_array().into_iter().flatten();
    let changed = results.filter(|result| result["changed"] == true).count();
    ensure!(changed == certain.len(), "{answer:#}");
    println!("  {changed} certain matches confirmed; what is only likely is left to a person");
    Ok(left)
}

/// Fails unless each tenant belongs to the customer that it should.
pub async fn ensure_mapped(api: &Api, cast: &[Member]) -> Result<()> {
    for member in cast {
        let tenant = api.get(&format!("/tenants/{}", member.tenant.id)).await?;
        let customer = match &tenant["customerId"] {
            Value::Null => None,
            _ => {
                let path = format!("/customers/{}", text(&tenant, "customerId")?);
                Some(text(&api.get(&path).await?, "name")?)
            }
        };
        let expected = match member.belonging {
            Belonging::ByHand => Some(member.name()),
            Belonging::Found(name) | Belonging::Matched(name, _) => Some(name),
            Belonging::Likely(..) => None,
        };
        ensure!(
            customer.as_deref() == expected,
            "{} belongs to {customer:?} instead of {expected:?}",
            member.name()
        );
    }
    Ok(())
}

/// `Contoso Ltd, certain (0.74): mailDomain contoso.example by 2 contacts, …`
fn told(candidate: &Value) -> String {
    let name = candidate["name"].as_str().unwrap_or("nobody");
    let is_certain = candidate["certain"] == true;
    let reasons: Vec<String> = evidence(candidate).map(reason).collect();
    format!(
        "→ {name}, {} ({:.2}): {}",
        if is_certain { "certain" } else { "likely" },
        candidate["score"].as_f64().unwrap_or_default(),
        reasons.join(", ")
    )
}

fn reason(evidence: &Value) -> String {
    let kind = evidence["kind"].as_str().unwrap_or_default();
    let value = evidence["value"].as_str().unwrap_or_default();
    match (kind, evidence["contacts"].as_u64()) {
        ("name", _) => "name".to_owned(),
        (_, None) => format!("{kind} {value}"),
        (_, Some(1)) => format!("{kind} {value} by 1 contact"),
        (_, Some(contacts)) => format!("{kind} {value} by {contacts} contacts"),
    }
}

fn evidence(candidate: &Value) -> impl Iterator<Item = &Value> {
    candidate["evidence"].as_array().into_iter().flatten()
}
