//! Secure scores and their controls.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fake_microsoft::directory::{Directory, entity::Entity, schemas};

/// Days of scores that are kept.
const DAYS: u64 = 90;

/// Name, category, title and maximum of the controls.
const CONTROLS: [(&str, &str, &str, f64); 8] = [
    (
        "AdminMFAV2",
        "Identity",
        "Require MFA for administrative roles",
        10.0,
    ),
    (
        "MFARegistrationV2",
        "Identity",
        "Ensure all users can complete MFA",
        9.0,
    ),
    (
        "BlockLegacyAuthentication",
        "Identity",
        "Block legacy authentication",
        8.0,
    ),
    (
        "DLPEnabled",
        "Data",
        "Apply Data Loss Prevention policies",
        20.0,
    ),
    ("mdo_safelinks", "Apps", "Turn on Safe Links", 9.0),
    ("scid_2011", "Device", "Turn on Firewall on macOS", 5.0),
    (
        "scid_96",
        "Device",
        "Block execution of potentially obfuscated scripts",
        9.0,
    ),
    (
        "future_control",
        "Quantum",
        "A control nobody has heard of",
        1.0,
    ),
];

/// Generates ninety days of scores and the controls' profiles.
pub fn generate(directory: &mut Directory, users: usize) {
    let last = NaiveDate::from_ymd_opt(2026, 11, 19).expect("a date");
    for day in 0..DAYS {
        let date = last.checked_sub_days(Days::new(day)).expect("a date");
        let text = date.to_string();
        let current = 40.0 + f64::from(u32::try_from((DAYS - day) % 17).expect("small"));
        let entity = score(directory.tenant, &text, current, 71.0, users);
        let id = directory.random.uuid();
        directory.secure_scores.insert(id, entity);
    }
    for (rank, (name, category, title, max)) in CONTROLS.iter().enumerate() {
        let mut entity = Entity::empty(&schemas::CONTROL_PROFILE);
        let properties = json!({
            "id": name, "title": title, "maxScore": max, "rank": rank + 1, "tier": "Core",
            "service": "AzureAD", "userImpact": "Low", "implementationCost": "Moderate",
            "remediation": "<p>Go to the <b>portal</b> & follow the steps.</p>",
            "threats": ["Account breach", "futureThreat"], "actionUrl": "https://example.com/fix",
            "deprecated": rank == 6, "controlStateUpdates": [], "lastModifiedDateTime": null,
            "azureTenantId": directory.tenant, "controlCategory": category,
        });
        entity.assign(&schemas::CONTROL_PROFILE, &properties);
        let id = directory.random.uuid();
        directory.control_profiles.insert(id, entity);
    }
}

/// The score of a day (`yyyy-mm-dd`).
pub fn score(tenant: Uuid, date: &str, current: f64, max: f64, users: usize) -> Entity {
    let controls: Vec<Value> = CONTROLS
        .iter()
        .enumerate()
        .map(|(place, (name, category, title, max))| {
            // Extra fields hold numbers as text, and a score may be an integer.
            let score = if place % 2 == 0 {
                json!(max / 2.0)
            } else {
                json!(3)
            };
            json!({"controlCategory": category, "controlName": name, "description": title,
                "score": score, "scoreInPercentage": 50.0, "count": "12", "total": "24",
                "implementationStatus": "Partly \"done\"", "lastSynced": "2026-11-19T00:00:00Z"})
        })
        .collect();
    let mut entity = Entity::empty(&schemas::SECURE_SCORE);
    let properties = json!({
        "id": format!("{tenant}_{date}"), "azureTenantId": tenant, "activeUserCount": users / 2,
        "licensedUserCount": users, "createdDateTime": format!("{date}T00:00:00Z"),
        "currentScore": current, "maxScore": max,
        "enabledServices": ["HasExchange", "HasSharePoint", "HasFutureService"],
        "averageComparativeScores": [
            {"basis": "AllTenants", "averageScore": 37.0, "AADScore": "12"},
            {"basis": "TotalSeats", "averageScore": 46, "SeatSizeRangeLowerValue": "1"},
        ],
        "controlScores": controls,
        "vendorInformation": {"provider": "SecureScore", "providerVersion": null,
            "subProvider": null, "vendor": "Microsoft"},
    });
    entity.assign(&schemas::SECURE_SCORE, &properties);
    entity
}
