//! The pages of the consent flow, for administrators who have no account here: rendered on the server,
//! without any script, every foreign text escaped.

mod connect;
mod result;

pub use self::{connect::connect_page, result::result_page};

use tenantry_core::consent::LinkView;

/// The tenant as people know it: its name, and what the technician typed where that is another.
fn tenant_label(view: &LinkView) -> String {
    if view.tenant_name.eq_ignore_ascii_case(&view.entered_tenant) {
        view.tenant_name.clone()
    } else {
        format!("{} ({})", view.tenant_name, view.entered_tenant)
    }
}
