//! Whom a refusal names.

/// Whose limit a refusal is about: the first word of `x-ms-throttle-scope`,
/// `<scope>/<Read|Write|ReadWrite>/<application>/<tenant, user or resource>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// This application in all tenants.
    Application,
    /// All applications in this tenant together.
    Tenant,
    /// This application in this tenant, and whatever else is said or not said.
    TenantApplication,
}

impl Scope {
    pub(super) fn of(text: Option<&str>, application: &str) -> Self {
        let mut words = text.unwrap_or_default().split('/');
        let scope = words.next().unwrap_or_default();
        let named = words.nth(1).unwrap_or_default();
        // A tenant may be read by a registration of its own, whose limits are no one else's.
        let is_ours = named.is_empty() || named.eq_ignore_ascii_case(application);
        if scope.eq_ignore_ascii_case("Application") && is_ours {
            Self::Application
        } else if scope.eq_ignore_ascii_case("Tenant") {
            Self::Tenant
        } else {
            Self::TenantApplication
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: &str = "5c0f8a9e-2b1d-4c3e-9f60-7a8b9c0d1e2f";

    #[test]
    fn the_scope_of_a_refusal_says_who_pauses() {
        let of = |text| Scope::of(text, APPLICATION);
        let ours = format!("Application/ReadWrite/{}", APPLICATION.to_uppercase());
        let ours_too = format!("Application/Read/{APPLICATION}/users");
        for (text, scope) in [
            (ours.as_str(), Scope::Application),
            (&ours_too, Scope::Application),
            ("Application", Scope::Application),
            ("application/Write", Scope::Application),
            (
                "Application/Read/11111111-2b1d-4c3e-9f60-7a8b9c0d1e2f",
                Scope::TenantApplication,
            ),
            ("Tenant/ReadWrite/a/b", Scope::Tenant),
            ("Tenant_Application/ReadWrite/a/b", Scope::TenantApplication),
            ("", Scope::TenantApplication),
            ("Everything/Read", Scope::TenantApplication),
        ] {
            assert_eq!(of(Some(text)), scope, "{text}");
        }
        assert_eq!(of(None), Scope::TenantApplication);
    }
}
