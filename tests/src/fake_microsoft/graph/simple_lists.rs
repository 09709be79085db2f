//! Lists without peculiarities: the tenant itself, products, scores, devices.

use super::{
    answer::Answer,
    call::Call,
    listing::{Continued, Listing, nothing_more},
    permission::Need,
};
use crate::fake_microsoft::directory::{Table, schemas};

/// Days or controls on a page of the security lists without `$top`, and at most.
const SECURITY_PAGE: usize = 50;
const SECURITY_PAGE_MAX: usize = 1000;

/// Devices on a page.
const DEVICE_PAGE: usize = 1000;

/// `GET /organization` and `GET /organization/{id}`, both a list of one.
pub fn organization(call: &Call<'_>, id: Option<&str>) -> Result<Answer, Answer> {
    call.require(Need::Organization)?;
    call.allow(&["$select"])?;
    if let Some(other) = id.filter(|id| *id != call.tenant.id.to_string()) {
        return Err(call.ids.not_found(other));
    }
    let directory = call.tenant.directory.lock().expect("directory");
    whole(call, "organization", &directory.organization)
}

/// `GET /subscribedSkus`, which is not paged and knows only `$select`.
pub fn subscribed_skus(call: &Call<'_>) -> Result<Answer, Answer> {
    call.require(Need::Skus)?;
    call.allow(&["$select"])?;
    let directory = call.tenant.directory.lock().expect("directory");
    whole(call, "subscribedSkus", &directory.skus)
}

/// `GET /directory/subscriptions`.
pub fn subscriptions(call: &Call<'_>) -> Result<Answer, Answer> {
    call.require(Need::Subscriptions)?;
    call.allow(&["$select"])?;
    let directory = call.tenant.directory.lock().expect("directory");
    whole(call, "directory/subscriptions", &directory.subscriptions)
}

/// `GET /security/secureScores`, newest first.
pub fn secure_scores(call: &Call<'_>) -> Result<Answer, Answer> {
    let directory = call.tenant.directory.lock().expect("directory");
    let none = Table::new(&schemas::SECURE_SCORE);
    let has = directory.features.secure_score;
    let table = if has { &directory.secure_scores } else { &none };
    security(call, "security/secureScores", table)
}

/// `GET /security/secureScoreControlProfiles`.
pub fn control_profiles(call: &Call<'_>) -> Result<Answer, Answer> {
    let directory = call.tenant.directory.lock().expect("directory");
    let none = Table::new(&schemas::CONTROL_PROFILE);
    let has = directory.features.secure_score;
    let table = if has {
        &directory.control_profiles
    } else {
        &none
    };
    security(call, "security/secureScoreControlProfiles", table)
}

/// `GET /deviceManagement/managedDevices`.
pub fn managed_devices(call: &Call<'_>) -> Result<Answer, Answer> {
    call.require(Need::ManagedDevices)?;
    let directory = call.tenant.directory.lock().expect("directory");
    if !directory.features.intune {
        let message = "Request not applicable to target tenant.";
        return Err(call.ids.bad_request(message));
    }
    call.allow(&["$select", "$top", "$skiptoken"])?;
    let selected = call.select(&schemas::MANAGED_DEVICE, &[])?;
    let listing = Listing {
        collection: "deviceManagement/managedDevices",
        table: &directory.managed_devices,
        selected: &selected,
        filter: None,
        page_size: call.page_size(DEVICE_PAGE, DEVICE_PAGE)?,
        counted: true,
        continued: Continued::SkipToken,
        more: &nothing_more,
    };
    listing.answer(call)
}

fn security(call: &Call<'_>, collection: &str, table: &Table) -> Result<Answer, Answer> {
    call.require(Need::SecurityEvents)?;
    call.allow(&["$select", "$top", "$skip"])?;
    let selected = call.select(table.schema, &[])?;
    let listing = Listing {
        collection,
        table,
        selected: &selected,
        filter: None,
        page_size: call.page_size(SECURITY_PAGE, SECURITY_PAGE_MAX)?,
        counted: false,
        continued: Continued::Skip,
        more: &nothing_more,
    };
    listing.answer(call)
}

fn whole(call: &Call<'_>, collection: &str, table: &Table) -> Result<Answer, Answer> {
    let selected = call.select(table.schema, &[])?;
    let listing = Listing {
        collection,
        table,
        selected: &selected,
        filter: None,
        page_size: usize::MAX,
        counted: false,
        continued: Continued::SkipToken,
        more: &nothing_more,
    };
    listing.answer(call)
}
