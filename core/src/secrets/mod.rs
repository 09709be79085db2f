//! Secrets: the vault, the master key and the types that cannot be printed.
