//! Webhooks for companies: Autotask calls us, signed with a secret of ours (psa.md §B4).

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    autotask::{
        Autotask,
        companies::{number, numeric},
        errors::protocol,
        http::Call,
        query::{List, condition, every},
        wire::{Created, Item, Webhook},
    },
    contract::{ExternalId, Label},
    error::PsaError,
    event::{Callback, CallbackTarget},
};

const ENTITY: &str = "CompanyWebhooks";

/// What Autotask takes.
const MOST_NAME: usize = 50;
const MOST_URL: usize = 500;
const MOST_SECRET: usize = 64;

/// The fields whose change is told, in Autotask's words without blanks and in lower case.
const TOLD: [&str; 12] = [
    "companyname",
    "companynumber",
    "companytype",
    "isactive",
    "active",
    "phone",
    "webaddress",
    "address1",
    "address2",
    "city",
    "state",
    "postalcode",
];

/// How often a new webhook is looked at whether Autotask has made it ready.
const MOST_LOOKS: usize = 3;

/// The most pages of webhooks of our name.
const MOST_PAGES: usize = 4;

impl Autotask {
    /// Sets our webhook up, in the place of those of the same name: one that is there already may hold
    /// another secret, and Autotask does not tell which.
    pub(super) async fn set_up_webhook(
        &self,
        target: &CallbackTarget,
    ) -> Result<Callback, PsaError> {
        let name: String = target.name.chars().take(MOST_NAME).collect();
        let url = target.url.as_str();
        if url.len() > MOST_URL || target.secret.expose().len() > MOST_SECRET || name.is_empty() {
            return Err(PsaError::Config {
                what: "Autotask takes webhook addresses of at most 500 characters".to_owned(),
            });
        }
        let fields = self.told_fields().await?;
        for stale in self.webhooks_named(&name).await? {
            self.take_away(&stale).await?;
        }
        let body = json!({
            "name": name,
            "isActive": true,
            "webhookUrl": url,
            "deactivationUrl": url,
            "secretKey": target.secret.expose(),
            "isSubscribedToCreateEvents": true,
            "isSubscribedToUpdateEvents": true,
            "isSubscribedToDeleteEvents": true,
            "sendThresholdExceededNotification": false,
        });
        let id = self.create(ENTITY, &[ENTITY], &body).await?;
        if let Err(error) = self.subscribe(&id, &fields).await {
            // A webhook that tells nothing is worse than none. Where it cannot be taken away either, the
            // next set-up finds it by its name; the first error is the one that tells why.
            return match self.take_away(&id).await {
                Ok(()) | Err(_) => Err(error),
            };
        }
        for _look in 0..MOST_LOOKS {
            if self.is_ready(&id).await? {
                break;
            }
        }
        Ok(Callback { id })
    }

    /// Takes a webhook away.
    pub(super) async fn take_away(&self, id: &ExternalId) -> Result<(), PsaError> {
        let Some(number) = number(id) else {
            return Ok(());
        };
        let segments = [ENTITY, number];
        let call = Call::change(Method::DELETE, ENTITY, &segments, None);
        match self.client.ask(&call).await {
            Ok(_) | Err(PsaError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether webhooks may be set up at all.
    pub(super) async fn may_have_webhooks(&self) -> Result<(), PsaError> {
        let list = List::new(ENTITY, vec![every()], &["name"]).at_most(1);
        self.client.page::<Webhook>(&list, None).await.map(drop)
    }

    /// Creates a record and gives its id.
    pub(super) async fn create(
        &self,
        endpoint: &'static str,
        segments: &[&str],
        body: &Value,
    ) -> Result<ExternalId, PsaError> {
        let call = Call::change(Method::POST, endpoint, segments, Some(body));
        let answer = self.client.ask(&call).await?;
        let created = Created::deserialize(answer).or(Err(PsaError::Ambiguous))?;
        created.item_id.ok_or(PsaError::Ambiguous)
    }

    async fn webhooks_named(&self, name: &str) -> Result<Vec<ExternalId>, PsaError> {
        let filter = vec![condition("beginsWith", "name", name)];
        let list = List::new(ENTITY, filter, &["name"]);
        let webhooks = self.client.all::<Webhook>(&list, MOST_PAGES).await?;
        let ours = webhooks.into_iter().filter(|webhook| {
            let known = webhook.name.as_deref();
            known.is_some_and(|known| known.starts_with(name))
        });
        Ok(ours.filter_map(|webhook| webhook.id).collect())
    }

    /// The ids of the fields to be told of.
    async fn told_fields(&self) -> Result<Vec<ExternalId>, PsaError> {
        let fields = self.client.fields("CompanyWebhookFields").await?;
        let is_told = |label: &Label| {
            let name: String = label.name.chars().filter(|c| !c.is_whitespace()).collect();
            TOLD.contains(&name.to_lowercase().as_str())
        };
        let offered = fields.choices("fieldID");
        let told: Vec<ExternalId> = offered
            .into_iter()
            .filter(is_told)
            .map(|label| label.id)
            .filter(|id| number(id).is_some())
            .collect();
        if told.is_empty() {
            return Err(protocol(
                200,
                "no field of companies can be told by a webhook",
            ));
        }
        Ok(told)
    }

    /// One after another: Autotask takes three calls at a time.
    async fn subscribe(&self, id: &ExternalId, fields: &[ExternalId]) -> Result<(), PsaError> {
        let webhook = numeric(id).ok_or(PsaError::Ambiguous)?;
        for field in fields {
            let body = json!({
                "webhookID": webhook,
                "fieldID": numeric(field),
                "isSubscribedField": true,
                "isDisplayAlwaysField": false,
            });
            let segments = [ENTITY, id.0.as_str(), "Fields"];
            let call = Call::change(Method::POST, ENTITY, &segments, Some(&body));
            self.client.ask(&call).await?;
        }
        Ok(())
    }

    async fn is_ready(&self, id: &ExternalId) -> Result<bool, PsaError> {
        let segments = [ENTITY, id.0.as_str()];
        let answer = self.client.ask(&Call::get(ENTITY, &segments)).await?;
        let answer = Item::<Webhook>::deserialize(answer)
            .or(Err(protocol(200, "the answer is no webhook")))?;
        let webhook = answer.item.ok_or(PsaError::Ambiguous)?;
        Ok(webhook.is_ready == Some(true))
    }
}
