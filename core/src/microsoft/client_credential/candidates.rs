//! The choice among the certificates of a registration.
//!
//! The one that began last is the newest and comes first. Microsoft may not know it yet, so one that was
//! refused rests for an hour while there is another. When all were refused, the one refused longest ago
//! is tried: each gets its turn, and what is put right at Microsoft's side is found by itself.
//!
//! A request that must not be sent twice goes with one that was accepted before, where there is such a
//! one.

use std::{cmp::Reverse, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Mark, Refusal, digest_of};
use crate::{microsoft::certificate::Certificate, secrets::SecretText};

/// How long a refused certificate is left out while there is another.
const REST: TimeDelta = TimeDelta::hours(1);
/// A certificate that was refused less than this ago is not worth a second request at once.
const PAUSE: TimeDelta = TimeDelta::minutes(1);

/// What a registration can be proven by.
pub(super) enum Proof {
    Secret(SecretText),
    Certificate(Certificate),
}

/// Whether a refused request can be sent again with another proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    Once,
    UntilAccepted,
}

/// Everything there is to choose from, and what Microsoft said of it.
pub(super) struct Candidates {
    list: Vec<Candidate>,
    refusal: Option<Refusal>,
}

struct Candidate {
    proof: Arc<Proof>,
    mark: Mark,
    /// When Microsoft refused it last; none after it was accepted.
    refused_at: Option<DateTime<Utc>>,
    /// Whether Microsoft accepted it last.
    is_proven: bool,
}

impl Candidates {
    pub(super) fn of_secret(secret: SecretText) -> Self {
        let mark = Mark(digest_of(secret.expose()));
        Self::new(vec![(Proof::Secret(secret), mark)])
    }

    pub(super) fn of_certificates(certificates: Vec<(Certificate, Mark)>) -> Self {
        let proofs = certificates
            .into_iter()
            .map(|(certificate, mark)| (Proof::Certificate(certificate), mark));
        Self::new(proofs.collect())
    }

    fn new(proofs: Vec<(Proof, Mark)>) -> Self {
        let candidate = |(proof, mark)| Candidate {
            proof: Arc::new(proof),
            mark,
            refused_at: None,
            is_proven: false,
        };
        Self {
            list: proofs.into_iter().map(candidate).collect(),
            refusal: None,
        }
    }

    /// The same, with what was said before of those that are still there.
    pub(super) fn after(mut self, before: &Self) -> Self {
        for candidate in &mut self.list {
            let known = before.list.iter().find(|old| old.mark == candidate.mark);
            if let Some(known) = known {
                candidate.refused_at = known.refused_at;
                candidate.is_proven = known.is_proven;
            }
        }
        if self.refused_count() == self.count() {
            self.refusal.clone_from(&before.refusal);
        }
        self
    }

    /// What to prove the registration by now.
    pub(super) fn choose(&self, sending: Sending, now: DateTime<Utc>) -> Option<Arc<Proof>> {
        let rank = |candidate: &&Candidate| candidate.rank(sending, now);
        let best = self.list.iter().max_by_key(rank);
        best.map(|candidate| Arc::clone(&candidate.proof))
    }

    /// Notes a refusal. Whether another one is worth a request at once.
    pub(super) fn refuse(&mut self, mark: Mark, aadsts: Option<u32>, now: DateTime<Utc>) -> bool {
        let Some(refused) = self.list.iter_mut().find(|known| known.mark == mark) else {
            // Another one has taken its place since.
            return true;
        };
        let is_news = refused.refused_at.replace(now).is_none();
        refused.is_proven = false;
        let proof = Arc::clone(&refused.proof);
        let is_worth = |other: &Candidate| {
            let rested = other.refused_at.is_none_or(|at| now - at >= PAUSE);
            other.mark != mark && other.proof.is_valid(now) && rested
        };
        let has_other = self.list.iter().any(is_worth);
        if is_news && let Proof::Certificate(certificate) = proof.as_ref() {
            tracing::warn!(
                validFrom = %certificate.begins,
                validUntil = %certificate.ends,
                aadsts,
                "Microsoft does not accept a certificate of the app registration"
            );
        }
        if !has_other {
            let begun = self.refusal.as_ref().map(|refusal| refusal.since);
            if begun.is_none() {
                tracing::warn!(
                    aadsts,
                    "Microsoft refuses the app registration's credential"
                );
            }
            let since = begun.unwrap_or(now);
            self.refusal = Some(Refusal { since, aadsts });
        }
        has_other
    }

    /// Notes a success.
    pub(super) fn accept(&mut self, mark: Mark) {
        let Some(accepted) = self.list.iter_mut().find(|known| known.mark == mark) else {
            return;
        };
        accepted.refused_at = None;
        accepted.is_proven = true;
        if self.refusal.take().is_some() {
            tracing::info!("Microsoft accepts the app registration's credential again");
        }
    }

    /// When the last of the certificates ends. Those that were refused count only when all were.
    pub(super) fn end(&self) -> Option<DateTime<Utc>> {
        let ends = |is_wanted: fn(&Candidate) -> bool| {
            let wanted = self.list.iter().filter(move |known| is_wanted(known));
            wanted.filter_map(|known| known.proof.end()).max()
        };
        ends(|candidate| candidate.refused_at.is_none()).or_else(|| ends(|_any| true))
    }

    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    pub(super) fn refused_count(&self) -> usize {
        let refused = self.list.iter().filter(|known| known.refused_at.is_some());
        refused.count()
    }
}

impl Candidate {
    /// The best has the highest: valid by our clock, not refused of late, else refused longest ago,
    /// safe for a request that is sent once, begun last.
    fn rank(&self, sending: Sending, now: DateTime<Utc>) -> impl Ord + use<> {
        let resting = self.refused_at.filter(|at| now - *at < REST);
        let begins = match self.proof.as_ref() {
            Proof::Secret(_) => DateTime::UNIX_EPOCH,
            Proof::Certificate(certificate) => certificate.begins,
        };
        // Of two, the one that rests no longer, `None`, is the smaller and by `Reverse` the better.
        let is_safe = match sending {
            Sending::Once => self.is_proven,
            Sending::UntilAccepted => true,
        };
        (self.proof.is_valid(now), Reverse(resting), is_safe, begins)
    }
}

impl Proof {
    fn is_valid(&self, now: DateTime<Utc>) -> bool {
        match self {
            Self::Secret(_) => true,
            Self::Certificate(certificate) => certificate.begins <= now && now < certificate.ends,
        }
    }

    fn end(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Secret(_) => None,
            Self::Certificate(certificate) => Some(certificate.ends),
        }
    }
}
