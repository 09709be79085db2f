//! Access: who acts, for which organisation, and what that allows.
