//! What a person may change about a tenant.

use super::model::Tenant;
use crate::ids::CustomerId;

/// Longest display name in characters.
const NAME_LIMIT: usize = 200;
/// Most tags of one tenant.
const TAG_COUNT: usize = 50;
/// Longest tag in characters.
const TAG_LIMIT: usize = 64;

/// One field of a change: an absent field stays, `null` clears it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TenantField<T> {
    /// Leave it.
    #[default]
    Keep,
    /// Back to what it is without anybody's choice.
    Clear,
    /// This from now on.
    Set(T),
}

/// A change of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantChange {
    /// The customer it belongs to.
    pub customer: TenantField<CustomerId>,
    /// A name of the organisation's choice; cleared, the tenant's own.
    pub display_name: TenantField<String>,
    /// Words of the organisation's own.
    pub tags: TenantField<Vec<String>>,
    /// Whether events of this tenant reach people; cleared, they do.
    pub notifications: TenantField<bool>,
}

/// A value that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantFieldError {
    /// JSON pointer to the value.
    pub pointer: String,
    /// What must hold, in a sentence.
    pub detail: String,
}

impl TenantChange {
    /// The change with blanks cut and repeated tags dropped.
    ///
    /// # Errors
    /// All values that cannot be taken.
    pub fn checked(mut self) -> Result<Self, Vec<TenantFieldError>> {
        let mut errors = Vec::new();
        if let TenantField::Set(name) = &mut self.display_name {
            *name = name.trim().to_owned();
            if name.is_empty()
                || name.chars().count() > NAME_LIMIT
                || name.chars().any(char::is_control)
            {
                errors.push(refuse(
                    "/displayName",
                    format!("1 to {NAME_LIMIT} characters, no control characters"),
                ));
            }
        }
        if let TenantField::Set(tags) = &mut self.tags {
            if tags.len() > TAG_COUNT {
                errors.push(refuse("/tags", format!("at most {TAG_COUNT} tags")));
            }
            for (position, tag) in tags.iter_mut().enumerate() {
                *tag = tag.trim().to_owned();
                if tag.is_empty()
                    || tag.chars().count() > TAG_LIMIT
                    || tag.chars().any(char::is_control)
                {
                    let pointer = format!("/tags/{position}");
                    errors.push(refuse(
                        pointer,
                        format!("1 to {TAG_LIMIT} characters, no control characters"),
                    ));
                }
            }
            let mut seen = std::collections::HashSet::new();
            tags.retain(|tag| seen.insert(tag.clone()));
        }
        if errors.is_empty() {
            Ok(self)
        } else {
            Err(errors)
        }
    }

    /// The names of the fields that would differ, and the tenant as it would be.
    pub(super) fn applied_to(&self, tenant: &Tenant) -> (Vec<&'static str>, Tenant) {
        let mut changed = Vec::new();
        let mut after = tenant.clone();
        apply(
            &self.customer,
            &mut after.customer,
            Some,
            || None,
            "customerId",
            &mut changed,
        );
        apply(
            &self.tags,
            &mut after.tags,
            |tags| tags,
            Vec::new,
            "tags",
            &mut changed,
        );
        apply(
            &self.notifications,
            &mut after.notifications,
            |on| on,
            || true,
            "notifications",
            &mut changed,
        );
        match &self.display_name {
            TenantField::Keep => {}
            TenantField::Clear if !tenant.display_name_set => {}
            TenantField::Set(name) if tenant.display_name_set && *name == tenant.display_name => {}
            TenantField::Clear | TenantField::Set(_) => changed.push("displayName"),
        }
        (changed, after)
    }
}

fn refuse(pointer: impl Into<String>, detail: String) -> TenantFieldError {
    TenantFieldError {
        pointer: pointer.into(),
        detail,
    }
}

fn apply<T: Clone, V: PartialEq>(
    field: &TenantField<T>,
    value: &mut V,
    set: impl FnOnce(T) -> V,
    cleared: impl FnOnce() -> V,
    name: &'static str,
    changed: &mut Vec<&'static str>,
) {
    let next = match field {
        TenantField::Keep => return,
        TenantField::Clear => cleared(),
        TenantField::Set(next) => set(next.clone()),
    };
    if next != *value {
        *value = next;
        changed.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_value_is_named_at_once() {
        let change = TenantChange {
            display_name: TenantField::Set("  ".to_owned()),
            tags: TenantField::Set(vec!["ok".to_owned(), "a\nb".to_owned(), "x".repeat(65)]),
            ..TenantChange::default()
        };
        let errors = change.checked().unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/displayName", "/tags/1", "/tags/2"]);
    }

    #[test]
    fn names_and_tags_are_trimmed_and_a_tag_counts_once() {
        let change = TenantChange {
            display_name: TenantField::Set(" Contoso ".to_owned()),
            tags: TenantField::Set(vec![
                " gold".to_owned(),
                "gold ".to_owned(),
                "vip".to_owned(),
            ]),
            ..TenantChange::default()
        };
        let change = change.checked().unwrap();
        assert_eq!(change.display_name, TenantField::Set("Contoso".to_owned()));
        assert_eq!(
            change.tags,
            TenantField::Set(vec!["gold".to_owned(), "vip".to_owned()])
        );
    }
}
