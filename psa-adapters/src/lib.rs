//! Translations between a PSA (professional services automation) system and Tenantry's customers.
//!
//! This crate is a leaf: it depends on no other crate of the workspace. One file an adapter, one
//! small trait for all of them. No PSA is connected yet, so there is nothing here but this page;
//! customers are kept by hand through `/customers` until the first adapter lands.
