//! Names become addresses at the moment of connecting, and only checked ones are dialled (N2).

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{
    addresses::{Place, place},
    policy::{Reach, TargetPolicy},
};

/// Where the addresses of names come from. A trait, so that tests can answer as an attacker's server would.
pub trait Names: Send + Sync {
    /// All addresses of a host at this moment.
    fn look_up(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The machine's own resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemNames;

impl Names for SystemNames {
    fn look_up(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A name that leads, in part or whole, to where nothing may be called.
#[derive(Debug, thiserror::Error)]
#[error("the host leads to an address that may not be called")]
pub(super) struct ForbiddenAddress;

/// What the HTTP client asks for each new connection. It dials what it is given and nothing else, so there
/// is no second look-up between the check and the connection.
pub(super) struct CheckedNames {
    pub(super) names: Arc<dyn Names>,
    pub(super) policy: TargetPolicy,
    pub(super) reach: Reach,
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_ascii_lowercase();
        let looked_up = self.names.look_up(host.clone());
        let (policy, reach) = (self.policy.clone(), self.reach);
        Box::pin(async move {
            let addresses = looked_up.await?;
            let allowed = match reach {
                Reach::Remote => policy.allows_addresses(&host, &addresses),
                // `localhost` as the machine's files have it.
                Reach::Local => addresses
                    .iter()
                    .all(|address| place(*address) == Place::Loopback),
            };
            if !allowed {
                return Err(ForbiddenAddress.into());
            }
            let checked: Addrs = Box::new(
                addresses
                    .into_iter()
                    .map(|address| SocketAddr::new(address, 0)),
            );
            Ok(checked)
        })
    }
}
