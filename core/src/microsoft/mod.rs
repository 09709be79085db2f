//! Microsoft as upstream: the identity platform and Microsoft Graph.
