//! The page before Microsoft's: who asks for what, and why.

use maud::{Markup, html};
use tenantry_core::{consent::LinkView, ids::TenantId, microsoft::permissions::PermissionKind};

use super::tenant_label;
use crate::{html_page, time_text};

/// Names the MSP, the tenant and every permission with its reason; its button begins the sign-in.
/// `address` is the page's own.
pub fn connect_page(view: &LinkView, address: &str) -> Markup {
    let (msp, tenant) = (&view.organization, tenant_label(view));
    let is_delegated = view.permission_kind == PermissionKind::Delegated;
    html_page::document(
        &format!("Connect {tenant}"),
        &html! {
            h1 { "Connect " (tenant) " to " (msp) }
            p { (msp) " looks after your organization's Microsoft 365 and asks for read access to it." }
            dl {
                dt { "Asked for by" } dd { strong { (msp) } }
                dt { "Tenant" } dd { strong { (tenant) } br; (tenant_id(view.tenant)) }
            }
            h2 id="permissions" { "What will be read" }
            p { "These permissions only read. Nothing in your tenant can be changed with them." }
            @if is_delegated {
                p {
                    "The data are read in your name: " (msp) " keeps a sign-in of your account, which sees "
                    "what you may see and ends when you revoke your sessions."
                }
            }
            table aria-labelledby="permissions" {
                thead { tr { th scope="col" { "Permission" } th scope="col" { "Why" } } }
                tbody {
                    @for permission in &view.permissions {
                        tr {
                            th scope="row" { code { (permission.name) } }
                            td { (permission.reason) }
                        }
                    }
                }
            }
            h2 { "What happens next" }
            ol {
                li { "You sign in at Microsoft with an account of this tenant." }
                li {
                    "Microsoft shows the same permissions, and you accept them. You need the role Global "
                    "Administrator or Privileged Role Administrator."
                }
                li { "You come back here and see the result." }
            }
            form method="post" action=(address) {
                button type="submit" { "Continue to Microsoft" }
            }
            p { "This link works until " (time_text::of(view.expires_at)) " (UTC). If you did not expect it, close this page." }
        },
    )
}

fn tenant_id(tenant: TenantId) -> Markup {
    html! { "Tenant id " code { (tenant) } }
}
