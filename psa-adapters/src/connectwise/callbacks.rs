//! Callbacks: having ConnectWise call us when a company changes (psa.md §A4).

use serde_json::json;
use url::Url;

use super::{
    ConnectWise,
    client::Call,
    paging::{List, known_number},
    records::{CallbackRecord, records},
    refusal::{Refusal, Right},
};
use crate::{
    error::PsaError,
    event::{Callback, CallbackTarget},
};

/// Where callbacks are.
const PATH: &str = "system/callbacks";

/// The object id that means all companies, at the level `owner`.
const ALL_COMPANIES: &str = "1";

impl ConnectWise {
    /// Sets one up, or takes the one that is there.
    pub(super) async fn set_up_callback(
        &self,
        target: &CallbackTarget,
    ) -> Result<Callback, PsaError> {
        let url = called_url(&target.url);
        if let Some(callback) = self.tidy_callbacks(&url).await? {
            return Ok(callback);
        }
        let body = json!({
            "description": target.name,
            "url": url.as_str(),
            "objectId": 1,
            "type": "company",
            "level": "owner",
            "payloadVersion": "3.0.0",
            "inactiveFlag": false,
            "isSelfSuppressedFlag": true,
        });
        let call = Call::post(Right::Callbacks, PATH, body);
        let reply = self.client.reply(&call).await?;
        let exists = reply.status == 400
            && Refusal::read(&reply.body).is_some_and(|told| told.has_fault("ObjectExists"));
        if exists {
            // Another process of ours was quicker.
            let callback = self.tidy_callbacks(&url).await?;
            return callback.ok_or(PsaError::Conflict);
        }
        if !(200..=299).contains(&reply.status) {
            return Err(self.client.error_of(&call, &reply));
        }
        // Set up, but by which id? The next try finds it.
        let made: CallbackRecord = self
            .client
            .read(&reply, Right::Callbacks)
            .or(Err(PsaError::Ambiguous))?;
        made.id.map(|id| Callback { id }).ok_or(PsaError::Ambiguous)
    }

    /// Looks through our callbacks: one that does what we want is kept and returned, the others, which call
    /// an address of an earlier secret or are switched off, are taken away.
    async fn tidy_callbacks(&self, url: &Url) -> Result<Option<Callback>, PsaError> {
        let host = url.host_str().unwrap_or_default();
        let mut list = List::all(Right::Callbacks, PATH);
        list.conditions = format!("url contains \"{host}\"");
        let there: Vec<CallbackRecord> = records(list.all_rows(&self.client).await?);
        let mut kept = None;
        for record in there {
            let Some(theirs) = record.url.as_deref().and_then(|text| Url::parse(text).ok()) else {
                continue;
            };
            let is_wanted = kept.is_none() && theirs == *url && record.calls_for_all_companies();
            let is_ours = family(&theirs) == family(url);
            let Some(callback) = record.id.map(|id| Callback { id }) else {
                continue;
            };
            if is_wanted {
                kept = Some(callback);
            } else if is_ours {
                self.take_callback_away(&callback).await?;
            }
        }
        Ok(kept)
    }

    /// Takes one away; one that is gone is fine.
    pub(super) async fn take_callback_away(&self, callback: &Callback) -> Result<(), PsaError> {
        let Ok(number) = known_number(&callback.id) else {
            return Ok(());
        };
        let call = Call::delete(Right::Callbacks, &format!("{PATH}/{number}"));
        match self.client.call(&call).await {
            Ok(_) | Err(PsaError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl CallbackRecord {
    fn calls_for_all_companies(&self) -> bool {
        let is = |text: &Option<String>, expected: &str| {
            text.as_deref()
                .is_some_and(|text| text.eq_ignore_ascii_case(expected))
        };
        is(&self.kind, "company")
            && is(&self.level, "owner")
            && self
                .object_id
                .as_ref()
                .is_some_and(|id| id.0 == ALL_COMPANIES)
            && self.inactive_flag != Some(true)
    }
}

/// The server appends the record's id to the address, so it ends where the id belongs.
fn called_url(target: &Url) -> Url {
    let mut url = target.clone();
    url.set_fragment(None);
    url.set_query(Some("recordId="));
    url
}

/// What all addresses of one connection of ours share: all but the last part, which is its secret.
fn family(url: &Url) -> Option<(url::Origin, String)> {
    let (shared, _secret) = url.path().rsplit_once('/')?;
    (!shared.is_empty()).then(|| (url.origin(), shared.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        connectwise::harness::{API, opened},
        contract::{ExternalId, PsaAdapter},
        error::PsaError,
        event::{Callback, CallbackTarget},
        scripted::{delete, get, post},
        secret::Secret,
        transport::TransportError,
    };

    const OURS: &str = "https://hook.northgate.example/psa-connections/7/events/s3cret";

    fn target() -> CallbackTarget {
        CallbackTarget {
            url: OURS.parse().unwrap(),
            secret: Secret::new("unused".to_owned()),
            name: "Tenantry 0199".to_owned(),
        }
    }

    fn callback(id: u32, url: &str) -> Value {
        json!({"id": id, "url": url, "objectId": 1, "type": "company", "level": "owner", "inactiveFlag": false})
    }

    fn listed(rows: Value) -> crate::scripted::Expected {
        get(&format!("{API}/system/callbacks"))
            .query("conditions", "url contains \"hook.northgate.example\"")
            .answer(200, rows)
    }

    #[tokio::test]
    async fn the_first_time_one_is_made_for_all_companies() {
        let (psa, adapter) = opened();
        psa.expect(listed(json!([callback(
            3,
            "https://hook.northgate.example/other/s?recordId="
        )])));
        psa.expect(
            post(&format!("{API}/system/callbacks"))
                .body(json!({
                    "description": "Tenantry 0199", "url": format!("{OURS}?recordId="), "objectId": 1,
                    "type": "company", "level": "owner", "payloadVersion": "3.0.0", "inactiveFlag": false,
                    "isSelfSuppressedFlag": true
                }))
                .answer(201, json!({"id": 26559.0})),
        );
        let made = adapter.register_callback(&target()).await.unwrap();
        assert_eq!(made.id.0, "26559");
        psa.finish();
    }

    #[tokio::test]
    async fn one_that_is_there_is_used_and_outdated_ones_of_ours_go() {
        let (psa, adapter) = opened();
        let mut off = callback(11, &format!("{OURS}?recordId="));
        off["inactiveFlag"] = json!(true);
        psa.expect(listed(json!([
            off,
            callback(12, &format!("{OURS}?recordId=")),
            callback(13, &format!("{OURS}?recordId=")),
            callback(
                14,
                "https://hook.northgate.example/psa-connections/7/events/old?recordId="
            ),
            callback(
                15,
                "https://hook.northgate.example/psa-connections/8/events/s?recordId="
            ),
            callback(16, "not an address"),
            {"id": 17}
        ])));
        for id in [11, 13, 14] {
            psa.expect(delete(&format!("{API}/system/callbacks/{id}")).answer_raw(204, "", ""));
        }
        let used = adapter.register_callback(&target()).await.unwrap();
        assert_eq!(used.id.0, "12");
        psa.finish();
    }

    #[tokio::test]
    async fn one_that_another_process_made_meanwhile_is_used() {
        let (psa, adapter) = opened();
        psa.expect(listed(json!([])));
        psa.expect(post(&format!("{API}/system/callbacks")).answer(
            400,
            json!({"code": "InvalidObject", "message": "callbackEntry object is invalid", "errors": [
                {"code": "ObjectExists", "message": "A matching callback entry already exists"}]}),
        ));
        psa.expect(listed(json!([callback(12, &format!("{OURS}?recordId="))])));
        assert_eq!(
            adapter.register_callback(&target()).await.unwrap().id.0,
            "12"
        );
        psa.finish();
    }

    #[tokio::test]
    async fn an_unanswered_set_up_is_of_unknown_outcome() {
        let (psa, adapter) = opened();
        psa.expect(listed(json!([])));
        psa.expect(post(&format!("{API}/system/callbacks")).fail(TransportError::NoAnswer));
        assert_eq!(
            adapter.register_callback(&target()).await,
            Err(PsaError::Ambiguous)
        );
    }

    #[tokio::test]
    async fn taking_away_what_is_gone_is_no_error() {
        let (psa, adapter) = opened();
        let callback = Callback {
            id: ExternalId("9".to_owned()),
        };
        psa.expect(delete(&format!("{API}/system/callbacks/9")).answer(
            404,
            json!({"code": "NotFound", "message": "callback 9 not found"}),
        ));
        assert_eq!(adapter.remove_callback(&callback).await, Ok(()));
        psa.expect(delete(&format!("{API}/system/callbacks/9")).answer_raw(
            404,
            "text/html",
            "<html>",
        ));
        assert!(adapter.remove_callback(&callback).await.is_err());
    }
}
